/** What the front end refuses to go beyond (ARCHITECTURE.md, "Limits"). */
export interface HttpLimits {
  readonly valueBytesMax: number;
  /** For bodies that carry many values: batches and records. */
  readonly batchBytesMax: number;
  readonly connectionsMax: number;
  readonly connectionsPerAddressMax: number;
  /** From the first byte of a request, or the opening of its connection, to the end of its headers. */
  readonly headersTimeoutMs: number;
  /** From the first byte of a request to the last of its body. */
  readonly requestTimeoutMs: number;
  /** A connection on which nothing moves for so long is closed: among them those whose reader has stopped reading. */
  readonly idleTimeoutMs: number;
  /** How long an operation may take where the request does not say. */
  readonly operationTimeoutMs: number;
  /** Large answers that clients have not read yet, of all connections together. */
  readonly unsentBytesMax: number;
  /** Answers that took longer are logged. */
  readonly slowMs: number;
}

export const HTTP_LIMITS: HttpLimits = {
  valueBytesMax: 8 * 1024 * 1024,
  batchBytesMax: 32 * 1024 * 1024,
  connectionsMax: 4096,
  connectionsPerAddressMax: 2048,
  headersTimeoutMs: 10_000,
  requestTimeoutMs: 30_000,
  idleTimeoutMs: 60_000,
  operationTimeoutMs: 5_000,
  // Sixty-four of the largest values, for as many connections that ask for one at a time.
  unsentBytesMax: 512 * 1024 * 1024,
  slowMs: 1_000,
};

export const HEADER_BYTES_MAX = 16 * 1024;
export const KEY_BYTES_MAX = 1024;
export const CONTENT_TYPE_LENGTH_MAX = 200;
export const OPERATION_TIMEOUT_MS_MAX = 30_000;
export const LIST_LIMIT_DEFAULT = 100;
export const LIST_LIMIT_MAX = 1000;
export const BATCH_OPERATIONS_MAX = 1000;
export const RECORDS_MAX = 1000;
/** A hundred years: past it, a value without a `ttl` says the same. */
export const TTL_SECONDS_MAX = 100 * 366 * 24 * 3600;

/** What an envelope may hold around its value. */
const ENVELOPE_BYTES = 64 * 1024;

/** An envelope carries a value that is not JSON as base64, which takes a third more. */
export function envelopeBytesMax(valueBytesMax: number): number {
  return Math.ceil(valueBytesMax / 3) * 4 + ENVELOPE_BYTES;
}

/** Requests of one connection that have come before the answer to an earlier one: from here on no more are read. */
export const PIPELINED_MAX = 64;

const BATCH_ANSWER_BYTES = 4 * 1024 * 1024;

/** What the values in the answer of a batch may take: room for many small ones, or for one of any size. */
export function batchAnswerBytesMax(valueBytesMax: number): number {
  return Math.max(BATCH_ANSWER_BYTES, envelopeBytesMax(valueBytesMax));
}
