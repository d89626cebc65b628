import { statfsSync } from 'node:fs';

/**
 * Writes are refused while less than this is free. LMDB must never meet a full disk: where a page cannot be written,
 * lmdb 3.5.6 formats its message into a buffer that is too short for it, which can end the process.
 */
export const RESERVE_BYTES = 64 * 1024 * 1024;
/** Less than this is not enough to open at all: LMDB maps its lock file, and a page of it that the disk cannot hold is SIGBUS. */
export const OPEN_BYTES_MIN = 1024 * 1024;

/** How much is free on a disk. A call takes some microseconds, so there is one for each flush. */
export class DiskSpace {
  readonly #path: string;
  readonly #reserveBytes: number;

  constructor(path: string, reserveBytes: number) {
    this.#path = path;
    this.#reserveBytes = reserveBytes;
  }

  /** Whether `bytes` can be written with the reserve left. */
  hasRoomFor(bytes: number): boolean {
    return this.bytesFree() - bytes >= this.#reserveBytes;
  }

  /** Whether a store could still be opened on it once `bytes` are written. */
  hasRoomToOpenAfter(bytes: number): boolean {
    return this.bytesFree() - bytes >= OPEN_BYTES_MIN;
  }

  /** Free to this process. */
  bytesFree(): number {
    const { bavail, bsize } = statfsSync(this.#path);
    return bavail * bsize;
  }
}
