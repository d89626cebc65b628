/** What is counted of a cache, while it is counted; read as `CacheFigures`. */
export class CacheCounters {
  hits = 0;
  misses = 0;
  staleRefusals = 0;
  bypasses = 0;
  joinedReads = 0;
  fills = 0;
  fillsRefused = 0;
  writeThroughs = 0;
  writesMissed = 0;
  errors = 0;
  timeouts = 0;
}
