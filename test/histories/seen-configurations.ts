import type { State } from './model.ts';

/**
 * Where the search has been. Which answered operations are placed follows from those that are not and may come next, as all
 * that was called later is not placed either: so these few, and the state, name a configuration exactly.
 */
export class SeenConfigurations {
  /** Sets of open operations, none of which contains another. */
  readonly #usedOpen = new Map<string, bigint[]>();
  readonly #states = new Map<State, number>();

  /** @returns `false` where one was seen that had used up the same open operations, or fewer (cut 3) */
  add(frontier: readonly number[], state: State, usedOpen: bigint): boolean {
    const key = `${this.#numberOf(state)}:${frontier.join()}`;
    const seen = this.#usedOpen.get(key);
    if (!seen) {
      this.#usedOpen.set(key, [usedOpen]);
      return true;
    }
    if (seen.some((used) => (used & usedOpen) === used)) return false;
    this.#usedOpen.set(key, [...seen.filter((used) => (used & usedOpen) !== usedOpen), usedOpen]);
    return true;
  }

  /** States may be long texts; there are as many as there are values. */
  #numberOf(state: State): number {
    const known = this.#states.get(state);
    if (known !== undefined) return known;
    this.#states.set(state, this.#states.size);
    return this.#states.size - 1;
  }
}
