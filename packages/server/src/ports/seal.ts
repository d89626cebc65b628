/** Signs what clients carry for us (contexts, session tokens, cursors), with a key that all nodes of the cluster derive from its secret. */
export interface Seal {
  /** A text of A-Z a-z 0-9 _ - that stands for `payload` and is bound to `purpose`. `payload` is readable to its holder. */
  seal(purpose: string, payload: Uint8Array): string;
  /** The payload, or nothing where `text` was not sealed by this cluster for this purpose. Compares in constant time. */
  open(purpose: string, text: string): Uint8Array | undefined;
}
