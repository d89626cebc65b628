import { commit } from '@meridian/core/coordination/paxos/acceptor';
import { type Ballot, compareBallots, sameBallot } from '@meridian/core/coordination/paxos/ballot';
import type { RegisterState } from '@meridian/core/coordination/paxos/register';
import { namespaceIdOf, type RecordKey } from '@meridian/core/ids';
import { decodeRegister, encodeRegister, isRegisterBytes } from '@meridian/core/wire/register-codec';
import type { CancelTimer, Clock } from '../../ports/clock.ts';
import type { Log } from '../../ports/log.ts';
import { CATALOG_NAMESPACE } from '../catalog.ts';
import type { Acceptors } from './acceptors.ts';

/**
 * So long a mark stays in memory only. A register that is written again meanwhile takes it along with its next acceptance,
 * which costs nothing; the others are written down many at a time.
 */
const KEPT_MS = 5_000;
const LOOK_MS = 250;
/** Beyond this the oldest are written down at once. */
const KEYS_MAX = 32_768;
/** Beyond this, where the store takes nothing, the oldest are let go of: to know less shows an older value, and harms nothing. */
const KEYS_HELD_MAX = 2 * KEYS_MAX;
const WRITTEN_AT_ONCE = 512;

export interface Mark {
  readonly ballot: Ballot;
  /** Chosen before it, and perhaps what the row still holds: what was chosen since has yet to arrive here. */
  readonly earlier: Ballot | undefined;
  readonly knownAtMs: number;
}

/**
 * What this node knows to be chosen while its rows do not say so yet: relaxed reads look here too. Once a row says it, it
 * survives a restart, and the stream of the store that proposed it takes it to replicas that missed it. Nobody waits for it.
 */
export class ChosenMarks {
  readonly #acceptors: Acceptors;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #onKnown: (key: RecordKey, ballot: Ballot) => void;
  readonly #onMissed: (key: RecordKey, ballot: Ballot) => void;
  /** By when they became known, in order. */
  readonly #marks = new Map<RecordKey, Mark>();
  #isWriting = false;
  /** Until it is looked again, in a while. */
  #hasFailed = false;
  #cancelTimer: CancelTimer = () => {};
  #isStopped = false;

  /** `onMissed` is told of what this store has not accepted when it is to write that it is chosen: it needs it from others. */
  constructor(
    acceptors: Acceptors,
    clock: Clock,
    log: Log,
    onKnown: (key: RecordKey, ballot: Ballot) => void,
    onMissed: (key: RecordKey, ballot: Ballot) => void = () => undefined,
  ) {
    this.#acceptors = acceptors;
    this.#clock = clock;
    this.#log = log;
    this.#onKnown = onKnown;
    this.#onMissed = onMissed;
  }

  start(): void {
    this.#cancelTimer = this.#clock.timer(LOOK_MS, () => {
      this.#hasFailed = false;
      this.#writeDue();
      if (!this.#isStopped) this.start();
    });
  }

  stop(): void {
    this.#isStopped = true;
    this.#cancelTimer();
  }

  get count(): number {
    return this.#marks.size;
  }

  /** `isOfProposer`: the store that proposed it says so, which has it, and whose stream takes it to every replica. */
  add(key: RecordKey, ballot: Ballot, isOfProposer = true): void {
    if (this.#isStopped) return;
    if (isOfProposer) this.#onKnown(key, ballot);
    const before = this.#marks.get(key);
    // News may come late, and twice: what was chosen before must not hide what was chosen since, nor put off its writing down.
    if (before && compareBallots(before.ballot, ballot) >= 0) return;
    this.#marks.delete(key);
    const earlier = before && (before.earlier ?? before.ballot);
    this.#marks.set(key, { ballot, earlier, knownAtMs: this.#clock.monotonicMs() });
    // Nodes learn of namespaces from rows.
    if (namespaceIdOf(key) === CATALOG_NAMESPACE) this.#write(new Map([[key, ballot]]));
    else if (this.#marks.size > KEYS_MAX) this.#writeDue();
    if (this.#marks.size > KEYS_HELD_MAX) this.#letGo();
  }

  /** Of many at once, those known for the longest: whoever looks for the first of a map walks past all that were taken out. */
  #letGo(): void {
    let left = WRITTEN_AT_ONCE;
    for (const [key, { ballot }] of this.#marks) {
      this.#marks.delete(key);
      this.#onMissed(key, ballot);
      left -= 1;
      if (left === 0) return;
    }
  }

  /** What is known of it now. */
  of(key: RecordKey): Mark | undefined {
    return this.#marks.get(key);
  }

  /**
   * Whether this ballot, which the key's row has accepted, is known here to be chosen. `before`: what was known when the row
   * was asked for. That the mark is gone says that another row has come since, which tells what the mark told; the row that
   * was read does not.
   */
  has(key: RecordKey, ballot: Ballot, before?: Mark): boolean {
    const mark = this.#marks.get(key);
    if (mark) this.#onHeld(key, mark, ballot);
    return isMarked(mark, ballot) || isMarked(before, ballot);
  }

  /** The row holds this. Where that is what was chosen last, what it has gone past must not keep its place in the mark. */
  #onHeld(key: RecordKey, { ballot, earlier, knownAtMs }: Mark, held: Ballot | undefined): void {
    if (earlier && sameBallot(ballot, held)) this.#marks.set(key, { ballot, earlier: undefined, knownAtMs });
  }

  /** The state of a register with what is known of it: its row may not say so yet. */
  known(key: RecordKey, state: RegisterState): RegisterState {
    const mark = this.#marks.get(key);
    if (!mark) return state;
    const { ballot, earlier } = mark;
    this.#onHeld(key, mark, state.accepted?.ballot);
    const isEarlier = earlier !== undefined && sameBallot(state.accepted?.ballot, earlier);
    return commit(state, { kind: 'commit', ballot: isEarlier ? earlier : ballot }).state;
  }

  /** Likewise of a row's bytes, whatever they are. */
  knownBytes(key: RecordKey, bytes: Uint8Array): Uint8Array {
    if (!this.#marks.has(key) || !isRegisterBytes(bytes)) return bytes;
    const state = decodeRegister(bytes);
    const known = this.known(key, state);
    return known === state ? bytes : encodeRegister(known);
  }

  /** A row says by itself what it has committed; and of what it has gone past it would not know what to do with a mark. */
  onRow(key: RecordKey, accepted: Ballot | undefined, committed: Ballot | undefined): void {
    const mark = this.#marks.get(key);
    if (!mark) return;
    const { ballot, earlier, knownAtMs } = mark;
    if (committed && compareBallots(ballot, committed) <= 0) {
      this.#marks.delete(key);
      return;
    }
    const isPast =
      earlier &&
      ((committed && compareBallots(earlier, committed) <= 0) || (accepted && compareBallots(earlier, accepted) < 0));
    if (isPast) this.#marks.set(key, { ballot, earlier: undefined, knownAtMs });
  }

  #writeDue(): void {
    if (this.#isWriting || this.#hasFailed || this.#isStopped) return;
    const dueMs = this.#clock.monotonicMs() - KEPT_MS;
    const taken = new Map<RecordKey, Ballot>();
    for (const [key, { ballot, knownAtMs }] of this.#marks) {
      const isDue = knownAtMs <= dueMs || this.#marks.size - taken.size > KEYS_MAX;
      if (!isDue || taken.size >= WRITTEN_AT_ONCE) break;
      taken.set(key, ballot);
    }
    if (taken.size > 0) this.#write(taken);
  }

  /** Where the disk refuses, it is tried again when it is next due. */
  #write(taken: ReadonlyMap<RecordKey, Ballot>): void {
    this.#isWriting = true;
    this.#acceptors
      .mark(taken)
      .then(
        (missed) => {
          for (const [key, ballot] of taken) if (this.#isLatest(key, ballot)) this.#marks.delete(key);
          for (const key of missed) this.#onMissed(key, taken.get(key) as Ballot);
        },
        (error: unknown) => {
          this.#hasFailed = true;
          this.#log.debug({ reason: (error as Error).message }, 'marking what is chosen failed');
          for (const [key, ballot] of taken) if (this.#isLatest(key, ballot)) this.#postpone(key);
        },
      )
      .finally(() => {
        this.#isWriting = false;
        this.#writeDue();
      });
  }

  #isLatest(key: RecordKey, ballot: Ballot): boolean {
    return sameBallot(this.#marks.get(key)?.ballot, ballot);
  }

  #postpone(key: RecordKey): void {
    const mark = this.#marks.get(key) as Mark;
    this.#marks.delete(key);
    this.#marks.set(key, { ...mark, knownAtMs: this.#clock.monotonicMs() });
  }
}

function isMarked(mark: Mark | undefined, ballot: Ballot): boolean {
  return mark !== undefined && (sameBallot(mark.ballot, ballot) || sameBallot(mark.earlier, ballot));
}
