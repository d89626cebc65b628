/** Hashes that place keys and compare records. The same on every node of a cluster, for ever: data is found by them. */
export interface Hashes {
  /** xxh3-64 of a text's UTF-8 bytes. */
  readonly text: (text: string) => bigint;
  /** xxh3-64 of bytes. */
  readonly bytes: (bytes: Uint8Array) => bigint;
}
