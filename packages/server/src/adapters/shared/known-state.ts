import { NO_SEQUENCE, type Sequence } from '@meridian/core/ids';
import type { TurnMark } from '../../ports/store.ts';
import type { FoundState, SharedRows, SharedState } from './shared-database.ts';

export interface KnownStateOptions {
  readonly state: SharedState;
  /** The store has got another id; `renewedAt` is how far it had come under the former one. */
  readonly onNewId: (renewedAt: Sequence) => void;
  /** Called each time the database is found to have gone back. */
  readonly onWentBack: () => void;
  /** Calls a listener; what it throws must not come back. */
  readonly guard: (act: () => void) => void;
}

/**
 * What this node knows of the store: its state, the latest turn that it has heard of, and whether the database has gone back
 * behind that, as after a fail-over that lost commits.
 */
export class KnownState {
  readonly #options: KnownStateOptions;
  readonly #listeners: ((seen: Sequence) => void)[] = [];
  #state: SharedState;
  #seen: TurnMark;
  #epoch = 0;
  #lostFrom = NO_SEQUENCE;
  #lost: TurnMark | undefined;
  #isRegressed = false;

  constructor(options: KnownStateOptions) {
    this.#options = options;
    this.#state = options.state;
    this.#seen = markOf(options.state);
  }

  get state(): SharedState {
    return this.#state;
  }

  /** The latest turn that this node has heard of, by whomever: a database without it has gone back. */
  get seen(): TurnMark {
    return this.#seen;
  }

  /** As `seen`; but for as long as the database is behind it, the turn that it has lost: others must not write there either. */
  get latest(): TurnMark {
    return this.#isRegressed && this.#lost ? this.#lost : this.#seen;
  }

  /** One more each time the database was found to have gone back, and for each new id: what was asked before says nothing after. */
  get epoch(): number {
    return this.#epoch;
  }

  /** Until the store has a new id nothing may be written: its dots may have been given out before. */
  get isRegressed(): boolean {
    return this.#isRegressed;
  }

  /** `listener` gets how far the store had come. Called at once where the database has gone back already. */
  onRegressed(listener: (seen: Sequence) => void): void {
    this.#listeners.push(listener);
    if (this.#isRegressed) this.#options.guard(() => listener(this.#lostFrom));
  }

  /** The store has a new id: it may be written again. */
  renewed(): void {
    this.#isRegressed = false;
  }

  /** Takes notice of a state that was asked for in `epoch`; says whether it is none of the past. */
  take(found: FoundState, epoch: number): boolean {
    const hasGoneBack = epoch === this.#epoch && isOlder(found, this.#state);
    if (hasGoneBack) this.#regress(found);
    else this.learn(found);
    return !hasGoneBack;
  }

  /** States come out of order: a later turn may end before an earlier one is heard of. */
  learn(found: SharedState): void {
    const known = this.#state;
    if (found.id === known.id ? found.version <= known.version : known.positions.has(found.id)) return;
    if (found.id !== known.id) this.#renew(found);
    this.#state = found;
    this.see(found);
  }

  /** Perhaps another node has renewed a store that had gone back. */
  #renew({ positions }: SharedState): void {
    this.#options.onNewId(positions.get(this.#state.id)?.applied ?? NO_SEQUENCE);
    this.#isRegressed = false;
    this.#epoch += 1;
  }

  /** A turn that is none of the past. */
  see(mark: TurnMark): void {
    if (mark.id !== this.#seen.id || mark.version > this.#seen.version) this.#seen = markOf(mark);
  }

  /**
   * Whether rows are of a state that has all that was seen. Rows of a database that has gone back lack what was promised and
   * acknowledged. Under an id that is not known here yet, another node has found that out.
   */
  covers(view: SharedRows): boolean {
    if (view.id !== this.#state.id || !view.hasSeen) return false;
    this.see(view);
    return true;
  }

  /** Of the state only the sequence is known to have moved. */
  moveTo(sequence: Sequence): void {
    if (sequence > this.#state.sequence) this.#state = { ...this.#state, sequence };
  }

  #regress(found: SharedState): void {
    const seen = this.#state.sequence;
    if (!this.#isRegressed) this.#lost = this.#seen;
    this.#state = found;
    this.#seen = markOf(found);
    this.#epoch += 1;
    this.#options.onWentBack();
    if (this.#isRegressed) return;
    this.#isRegressed = true;
    this.#lostFrom = seen;
    for (const listener of this.#listeners) this.#options.guard(() => listener(seen));
  }
}

/**
 * Whether `found` is of a past that the database has gone back to. Under another id it is that of a store renewed by another
 * node, unless it is an id that the store once had.
 */
function isOlder(found: FoundState, known: SharedState): boolean {
  return found.id === known.id ? !found.hasSeen : known.positions.has(found.id);
}

function markOf({ id, version, turn }: TurnMark): TurnMark {
  return { id, version, turn };
}
