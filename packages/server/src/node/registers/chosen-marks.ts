import type { Ballot } from '@meridian/core/coordination/paxos/ballot';
import type { RecordKey } from '@meridian/core/ids';
import type { CancelTimer, Clock } from '../../ports/clock.ts';
import type { Log } from '../../ports/log.ts';
import type { Acceptors } from './acceptors.ts';

/** So long it may take until the replicas of other regions are sent what was chosen: many marks share a commit. */
const MARK_MS = 10;
const MARK_KEYS_MAX = 512;
/** Marks that the disk refuses are not kept beyond this: each is found again when its register is next looked at. */
const PENDING_KEYS_MAX = 50_000;

/**
 * What this node knows to be chosen and has not written down yet. Once it has, relaxed reads find it after a restart too,
 * and the stream takes it to the other replicas. Nobody waits for it.
 */
export class ChosenMarks {
  readonly #acceptors: Acceptors;
  readonly #clock: Clock;
  readonly #log: Log;
  #pending = new Map<RecordKey, Ballot>();
  #writing: ReadonlyMap<RecordKey, Ballot> = new Map();
  #cancelTimer: CancelTimer | undefined;
  #isStopped = false;

  constructor(acceptors: Acceptors, clock: Clock, log: Log) {
    this.#acceptors = acceptors;
    this.#clock = clock;
    this.#log = log;
  }

  /** Whether this ballot is known here to be chosen, though its row does not say so yet. */
  has(key: RecordKey, { round, proposer }: Ballot): boolean {
    const known = this.#pending.get(key) ?? this.#writing.get(key);
    return known?.round === round && known.proposer === proposer;
  }

  add(key: RecordKey, ballot: Ballot): void {
    if (this.#isStopped || this.#pending.size >= PENDING_KEYS_MAX) return;
    this.#pending.set(key, ballot);
    this.#cancelTimer ??= this.#clock.timer(MARK_MS, () => this.#flush());
  }

  #flush(): void {
    this.#cancelTimer = undefined;
    if (this.#writing.size > 0 || this.#isStopped) return;
    const taken = [...this.#pending].slice(0, MARK_KEYS_MAX);
    this.#writing = new Map(taken);
    for (const [key] of taken) this.#pending.delete(key);
    this.#acceptors
      .mark(this.#writing)
      .catch((error: unknown) => this.#log.debug({ reason: (error as Error).message }, 'marking what is chosen failed'))
      .finally(() => {
        this.#writing = new Map();
        if (this.#pending.size > 0 && !this.#isStopped) this.#flush();
      });
  }

  stop(): void {
    this.#isStopped = true;
    this.#cancelTimer?.();
  }
}
