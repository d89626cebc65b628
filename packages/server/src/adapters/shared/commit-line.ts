import { NO_SEQUENCE, type Sequence } from '@meridian/core/ids';
import type { Commit } from '../../ports/store.ts';

/** Commits that wait for one before them. Beyond this they are forgotten, and read from the index. */
const EARLY_MAX = 256;

/**
 * Tells of commits in the order of their sequences, though this process hears of its own at once and of other nodes' later.
 * Where one is missing those after it wait, until it comes or the index was walked.
 */
export class CommitLine {
  readonly #tell: (commit: Commit) => void;
  readonly #onGap: () => void;
  readonly #early = new Map<Sequence, Commit>();
  #toldTo: Sequence;

  constructor(toldTo: Sequence, tell: (commit: Commit) => void, onGap: () => void) {
    this.#toldTo = toldTo;
    this.#tell = tell;
    this.#onGap = onGap;
  }

  get toldTo(): Sequence {
    return this.#toldTo;
  }

  get hasGap(): boolean {
    return this.#early.size > 0;
  }

  /** A whole commit, of whichever node; also one that was told of before. */
  take(commit: Commit): void {
    if (commit.upTo <= this.#toldTo) return;
    if (commit.from !== this.#toldTo) {
      if (commit.from > this.#toldTo && this.#early.size < EARLY_MAX) this.#early.set(commit.from, commit);
      this.#onGap();
      return;
    }
    this.#advance(commit);
    this.#catchUp();
  }

  /** A page of the index that begins where the line stood when it was asked for; says whether it still stands there. */
  walked(page: Commit): boolean {
    if (page.from !== this.#toldTo) return false;
    if (page.upTo > page.from) {
      this.#advance(page);
      this.#catchUp();
    }
    return true;
  }

  /** Begins anew: the database has gone back, and which of its rows were told of before cannot be known. */
  reset(): void {
    this.#early.clear();
    this.#toldTo = NO_SEQUENCE;
  }

  #advance(commit: Commit): void {
    this.#toldTo = commit.upTo;
    this.#tell(commit);
  }

  #catchUp(): void {
    for (let next = this.#early.get(this.#toldTo); next; next = this.#early.get(this.#toldTo)) {
      this.#early.delete(next.from);
      this.#advance(next);
    }
    for (const [from, commit] of this.#early) if (commit.upTo <= this.#toldTo) this.#early.delete(from);
  }
}
