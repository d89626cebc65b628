/** Limits of a node, with their units and why they are what they are. */

/** How often a node tells each peer that it is there, and how far it has come. Two pings late is noticed by a person as "slow". */
export const PING_MS = 500;
/** A peer not heard for so long is taken for cut off: four pings, and well above the longest round trip between regions. */
export const SUSPECT_MS = 2_000;
/**
 * A peer that is heard, but has answered nothing for so long and a round trip, hears nothing of this node: the link is cut one
 * way. Ten pings: where a third of all messages is lost both ways, as many get no answer once in a thousand times.
 */
export const UNANSWERED_MS = 5_000;
/** A restarted store waits so long to hear whether a peer has seen more of it than it has itself, before it takes a write. */
export const FIRST_GREETING_MS = 1_000;

/** How much of a stream is handled at once. The simulator makes them small, so that few keys make many batches. */
export interface StreamLimits {
  /** Rows and bytes of one catch-up batch: small enough that merging it holds the event loop for a few milliseconds only. */
  readonly batchRowsMax: number;
  readonly batchBytesMax: number;
  /** Bytes on the way to one follower, not yet acknowledged: 20,000 records of 200 bytes a second over 250 ms of round trip need 1 MiB. */
  readonly windowBytes: number;
}

export const STREAM_LIMITS: StreamLimits = {
  batchRowsMax: 256,
  batchBytesMax: 512 * 1024,
  windowBytes: 4 * 1024 * 1024,
};
/** A follower that has not moved for so long asks again from where it is. */
export const STREAM_STALL_MS = 2_000;

/** Calls waiting for one peer's answer. Beyond it, the next is refused at once rather than kept. */
export const CALLS_PENDING_MAX = 10_000;
/** A read that has not answered after its round trip and this much more is tried at the next replica as well. */
export const HEDGE_MS = 100;

/** Bytes of records on one page of a listing. */
export const LIST_BYTES_MAX = 4 * 1024 * 1024;
/** A name that was not found is not asked for again for so long. */
export const UNKNOWN_NAMESPACE_MS = 1_000;
/** After a quorum is reached, how long the others may take before those that stayed behind are repaired. */
export const REPAIR_WAIT_MS = 1_000;

/** Writes that wait for this store's disk, and their bytes: beyond it the next is refused, not kept. A slow disk must not eat the memory. */
export const WRITES_PENDING_MAX = 20_000;
export const WRITE_BYTES_PENDING_MAX = 256 * 1024 * 1024;

/** Records of one key together: what one frame between nodes must hold. */
export const RECORD_BYTES_MAX = 96 * 1024 * 1024;
