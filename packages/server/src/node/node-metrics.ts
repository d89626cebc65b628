/** Plain counters that request paths add to; observability reads them. */
export interface NodeMetrics {
  readsLocal: number;
  readsQuorum: number;
  readRepairs: number;
  /** Strong reads that found less than all of a majority agreeing. */
  writeBacks: number;
  writesAcknowledged: number;
  writesPassedOn: number;
  outcomesUnknown: number;
  storesReplaced: number;
}

export function newMetrics(): NodeMetrics {
  return {
    readsLocal: 0,
    readsQuorum: 0,
    readRepairs: 0,
    writeBacks: 0,
    writesAcknowledged: 0,
    writesPassedOn: 0,
    outcomesUnknown: 0,
    storesReplaced: 0,
  };
}
