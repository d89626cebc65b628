/**
 * Rules that tests switch off one at a time, to prove that they are needed and that the checks can fail. Nothing else
 * sets them; a server's settings cannot reach them.
 */
export type PlantedFlaw =
  | 'store-counted-twice'
  | 'unchosen-returned'
  | 'failed-condition-unsettled'
  | 'absence-unsettled'
  | 'retry-applied-again';

export type PlantedFlaws = ReadonlySet<PlantedFlaw>;

export const NO_FLAWS: PlantedFlaws = new Set();
