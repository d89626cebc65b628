/** Numbers of invariants are those of docs/reference/invariants.md. */
export class InvariantBroken extends Error {
  override readonly name = 'InvariantBroken';
  readonly invariant: number;

  constructor(invariant: number, detail: string) {
    super(`invariant ${invariant}: ${detail}`);
    this.invariant = invariant;
  }
}
