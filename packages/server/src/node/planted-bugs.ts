/**
 * One-line faults that the simulator switches on to prove that its checks can fail (test/simulation/planted.ts says
 * within how many seeds each is found). Nothing else sets them; a server's settings cannot reach them.
 */
export type PlantedBug =
  | 'applied-moves-with-cursor'
  | 'stream-filtered-by-cursor'
  | 'gap-is-merged'
  | 'cursor-before-records'
  | 'merge-by-clock'
  | 'session-not-covered'
  | 'quorum-of-one'
  | 'skip-write-back'
  | 'answer-before-sync'
  | 'promise-forgotten-at-restart'
  | 'ballot-kept-after-doubt'
  | 'ballot-reused'
  | 'recovered-by-ballot-check'
  | 'store-counted-twice'
  | 'unchosen-returned'
  | 'failed-condition-unsettled'
  | 'retry-applied-again'
  | 'relaxed-read-of-accepted'
  | 'ballot-check-skipped'
  | 'doubt-told-as-failure'
  | 'answers-before-filled'
  | 'call-carried-out-twice'
  | 'blind-write-without-context'
  | 'unbounded-window'
  | 'expired-stays-visible';

export type PlantedBugs = ReadonlySet<PlantedBug>;

export const NO_BUGS: PlantedBugs = new Set();
