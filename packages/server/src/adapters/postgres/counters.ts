/** What this process has asked of its database since it was opened. */
export interface PostgresFigures {
  /** Turns that were asked for. */
  readonly turns: number;
  /** Tries after the first, of turns and reads. */
  readonly retries: number;
  /** Commits whose answer was lost, so that their outcome had to be found out. */
  readonly doubts: number;
  /** Connections asked for by turns: the first, and those after one that was lost. */
  readonly connections: number;
  /** Connections for reads that were lost. */
  readonly readsDisconnected: number;
  /** Reads that had to wait for a connection. */
  readonly poolWaits: number;
}

export type PostgresCounters = { -readonly [Name in keyof PostgresFigures]: number };

export function newCounters(): PostgresCounters {
  return { turns: 0, retries: 0, doubts: 0, connections: 0, readsDisconnected: 0, poolWaits: 0 };
}
