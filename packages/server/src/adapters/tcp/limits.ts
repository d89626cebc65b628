const KIB = 1024;
const MIB = 1024 * KIB;

/** Bounds of the transport, with their units. All of them hold whatever a peer does. */
export interface TcpLimits {
  /** A frame of a proved peer. */
  readonly frameBytesMax: number;
  /** A frame of a stranger. A hello of the longest names is below 1 KiB. */
  readonly strangerFrameBytesMax: number;
  /** What waits for one peer. One frame may stand over it: it is looked at before a message is taken, not after. */
  readonly bytesBufferedMax: number;
  /** From the connection's opening to the proof of both sides. */
  readonly handshakeMs: number;
  /** A peer that has taken nothing of what waits for it for so long is dropped. */
  readonly stallMs: number;
  /**
   * Nodes answer each other's pings twice a second. A peer from which nothing has come for so long, though it was spoken to,
   * has lost its end of the connection, or the way to it. The system would go on sending to it again, at last every two
   * minutes, and as long after the way is whole again nothing would pass; a new connection passes at once.
   */
  readonly silentMs: number;
  /** Connections that have proved nothing yet. The oldest of the address that has most of them gives way to the next: a proof takes two round trips, a squatter stays. */
  readonly strangersMax: number;
  readonly backoffMinMs: number;
  readonly backoffMaxMs: number;
  /** A connection that lived so long was a good one: the next dial after it starts from the shortest pause again. */
  readonly settledMs: number;
}

/** Above the largest record (node/limits.ts) with its key, well below what a buffer can be. */
export const FRAME_BYTES_MAX = 128 * MIB;

export const TCP_LIMITS: TcpLimits = {
  frameBytesMax: FRAME_BYTES_MAX,
  strangerFrameBytesMax: 4 * KIB,
  bytesBufferedMax: 64 * MIB,
  handshakeMs: 5_000,
  stallMs: 30_000,
  silentMs: 15_000,
  strangersMax: 64,
  backoffMinMs: 100,
  backoffMaxMs: 3_000,
  settledMs: 5_000,
};
