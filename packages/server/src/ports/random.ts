/** All chance comes through here, so that a seed replays exactly. */
export interface Random {
  uint32(): number;
  /** Lower-case letters and digits, unguessable outside the simulator. */
  id(length: number): string;
}
