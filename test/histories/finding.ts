/** What a check found wrong with a history. */
export interface Finding {
  /** The name of the promise that was not kept. */
  readonly check: string;
  readonly key: string;
  readonly text: string;
}
