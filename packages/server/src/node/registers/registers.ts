import {
  type Ballot,
  type ProposerId,
  proposerIdFor,
  proposerStoreOf,
  Rounds,
} from '@meridian/core/coordination/paxos/ballot';
import type { ChangeRequest, Verdict } from '@meridian/core/coordination/paxos/change';
import type { Member, Members } from '@meridian/core/coordination/paxos/messages';
import type { PlantedFlaws } from '@meridian/core/coordination/paxos/planted-flaws';
import { startChange, startIdentity } from '@meridian/core/coordination/paxos/proposer';
import type { RegisterValue } from '@meridian/core/coordination/paxos/register';
import type { RecordKey, StoreId } from '@meridian/core/ids';
import { type Replica as Place, quorumOf } from '@meridian/core/placement/preference-list';
import { MeridianError } from '@meridian/core/wire/errors';
import type { Random } from '../../ports/random.ts';
import type { NodeState } from '../node-state.ts';
import type { Hop } from '../service.ts';
import { storeWithin } from '../store-deadline.ts';
import type { Acceptors } from './acceptors.ts';
import { Asking } from './asking.ts';
import { BallotCache } from './ballot-cache.ts';
import type { ChosenNews } from './chosen-news.ts';
import { Distances } from './distances.ts';
import { KeyQueues } from './key-queues.ts';
import { KeySetting, type Proposing } from './key-setting.ts';
import type { KnownStores } from './known-stores.ts';
import { OperationRun, ROUNDS_AHEAD, type RunOutcome } from './operation-run.ts';

const PROPOSER_ID_LENGTH = 16;
/** To look at what this replica has promised only spares a refusal: it is not worth a longer wait. */
const HINT_MS_MAX = 100;
export interface RegisterAnswer {
  readonly value: RegisterValue | null;
  readonly store: StoreId;
  readonly rounds: number;
  readonly asked: number;
  readonly answered: number;
  readonly hops: readonly Hop[];
}

export interface ChangeAnswer extends RegisterAnswer {
  readonly verdict: Verdict;
}

/** This node as a proposer: reads and changes registers whose replicas include its store. */
export class Registers {
  readonly #state: NodeState;
  readonly #acceptors: Acceptors;
  readonly #known: KnownStores;
  readonly #news: ChosenNews;
  readonly #cache = new BallotCache();
  readonly #queues: KeyQueues;
  readonly #proposing: Proposing;
  readonly #rounds = new Rounds();
  readonly #life: string;
  readonly #members = new WeakMap<readonly Place[], Members>();

  constructor(state: NodeState, acceptors: Acceptors, known: KnownStores, news: ChosenNews, random: Random) {
    this.#state = state;
    this.#acceptors = acceptors;
    this.#known = known;
    this.#news = news;
    this.#life = state.bugs.has('ballot-reused') ? 'the-same' : random.id(PROPOSER_ID_LENGTH);
    this.#queues = new KeyQueues(state.clock);
    this.#proposing = {
      state,
      random,
      asking: new Asking(state, acceptors),
      distances: new Distances(state),
      roundAbove: (floor) => this.#roundAbove(floor),
      membersOf: (places) => this.#membersOf(places),
    };
  }

  /** Fresh with each start of the process and each id of its store. */
  get #proposerId(): ProposerId {
    return proposerIdFor(this.#state.store.id, this.#life);
  }

  /** Linearizable. @throws QUORUM_UNAVAILABLE */
  async read(key: RecordKey, requestId: string, timeoutMs: number): Promise<RegisterAnswer> {
    return this.#answerOf(await this.#read(key, requestId, timeoutMs));
  }

  /**
   * Sees to it that what was proposed last is chosen or never will be, and that all replicas come to know. The stream of a
   * store takes its own choices to every replica, however long one is away; so what another has proposed, who may be gone, or
   * may not have it himself, is proposed once more by this one. `noted`: what was seen unsettled here. @throws QUORUM_UNAVAILABLE
   */
  async settle(key: RecordKey, noted: Ballot, requestId: string, timeoutMs: number): Promise<void> {
    const { store, clock } = this.#state;
    const { chosen } = (await this.#read(key, requestId, timeoutMs)).done;
    const ballot = chosen ?? noted;
    const isOwn = proposerStoreOf(ballot.proposer) === store.id;
    // Its row may have gone past it, with what was proposed since, and is then one that the stream takes nowhere.
    if (isOwn ? await this.#acceptors.isToldBy(key, ballot) : !chosen && (await this.#acceptors.isPast(key, noted)))
      return;
    await this.#queues.run(key, timeoutMs, async (leftMs) => {
      const places = this.#state.catalog.replicas(key);
      const setting = this.#settingOf(key, places, requestId);
      this.#cache.take(key);
      const deadlineMs = clock.monotonicMs() + leftMs;
      const floor = await this.#promisedRound(key, leftMs);
      const first = startIdentity(this.#proposer(places), setting.attempt(floor));
      this.#learn(key, await OperationRun.run(setting, first, deadlineMs - clock.monotonicMs()));
    });
  }

  async #read(key: RecordKey, requestId: string, timeoutMs: number): Promise<RunOutcome> {
    const places = this.#state.catalog.replicas(key);
    const setting = this.#settingOf(key, places, requestId);
    ensureReachable(setting, 'nothing was read');
    const outcome = await OperationRun.read(setting, this.#proposer(places), timeoutMs);
    this.#learn(key, outcome);
    return outcome;
  }

  /**
   * One change, after those of this node that came before it. What it answers is ordered with all other operations, a failed
   * condition too. @throws QUORUM_UNAVAILABLE where nothing can have happened, OUTCOME_UNKNOWN, RATE_LIMITED
   */
  change(key: RecordKey, request: ChangeRequest, requestId: string, timeoutMs: number): Promise<ChangeAnswer> {
    const bytes = request.body?.length ?? 0;
    return this.#queues.run(key, timeoutMs, (leftMs) => this.#change(key, request, requestId, leftMs), bytes);
  }

  async #change(key: RecordKey, request: ChangeRequest, requestId: string, timeoutMs: number): Promise<ChangeAnswer> {
    const { catalog, clock } = this.#state;
    const deadlineMs = clock.monotonicMs() + timeoutMs;
    const places = catalog.replicas(key);
    const setting = this.#settingOf(key, places, requestId);
    ensureReachable(setting, 'nothing was written');
    const cached = this.#cache.take(key);
    // What this replica has promised to others would refuse a lower round: to look costs less than to be refused.
    const promised = cached ? 0 : await this.#promisedRound(key, timeoutMs);
    const floor = promised === 0 ? 0 : promised + ROUNDS_AHEAD;
    const first = startChange(this.#proposer(places), request, setting.attempt(floor), cached);
    if (cached && this.#state.bugs.has('ballot-kept-after-doubt')) this.#cache.put(key, cached);
    const outcome = await OperationRun.run(setting, first, deadlineMs - clock.monotonicMs());
    this.#learn(key, outcome);
    const { result, cache } = outcome.done;
    if (cache) this.#cache.put(key, cache);
    if (result.kind !== 'change') throw new Error('a change that ended as something else');
    return { ...this.#answerOf(outcome), verdict: result.verdict };
  }

  #proposer(places: readonly Place[]) {
    return { id: this.#proposerId, required: this.#requiredOf(places), flaws: flawsOf(this.#state) };
  }

  /** Only a hint: where the database of this store is slow or away, a majority of others does without it. */
  #promisedRound(key: RecordKey, timeoutMs: number): Promise<number> {
    const promised = storeWithin(this.#state, Math.min(HINT_MS_MAX, timeoutMs / 4), this.#acceptors.promisedRound(key));
    return this.#state.store.shared ? promised.catch(() => 0) : promised;
  }

  #requiredOf(places: readonly Place[]): number {
    return this.#state.bugs.has('quorum-of-one') ? 1 : quorumOf(places.length);
  }

  #learn(key: RecordKey, { done }: RunOutcome): void {
    if (done.chosen) this.#news.tell(key, done.chosen, done.behind.includes(this.#state.self.store));
  }

  #answerOf({ done, hops, asked, answered }: RunOutcome): RegisterAnswer {
    const { result } = done;
    const isKnown = result.kind === 'read' || result.kind === 'change';
    return {
      value: isKnown ? result.value : null,
      store: this.#state.store.id,
      rounds: isKnown ? result.rounds : 0,
      asked,
      answered,
      hops,
    };
  }

  #settingOf(key: RecordKey, places: readonly Place[], requestId: string): KeySetting {
    return new KeySetting(this.#proposing, key, places, this.#requiredOf(places), requestId);
  }

  #roundAbove(floor: number): number {
    if (this.#state.bugs.has('ballot-reused')) return floor + 1;
    return this.#rounds.above(floor);
  }

  /** The same array for as long as they are the same: many keys have the same replicas. */
  #membersOf(places: readonly Place[]): Members {
    const before = this.#members.get(places);
    if (before?.length === places.length && before.every(({ name, id }) => this.#known.idOf(name) === id))
      return before;
    const members: Member[] = [];
    for (const { store } of places) {
      const id = this.#known.idOf(store);
      if (id !== undefined) members.push({ name: store, id });
    }
    this.#members.set(places, members);
    return members;
  }
}

function ensureReachable(setting: KeySetting, what: string): void {
  if (setting.isReachable()) return;
  const { reached, required, missingRegions } = setting.live();
  throw new MeridianError(
    'QUORUM_UNAVAILABLE',
    `required ${required}, reached ${reached}, missing ${missingRegions.join(', ')}; ${what}`,
    { required, reached, missingRegions },
  );
}

function flawsOf({ bugs }: NodeState): PlantedFlaws | undefined {
  if (bugs.size === 0) return undefined;
  const flaws: PlantedFlaws = new Set(
    (['store-counted-twice', 'unchosen-returned', 'failed-condition-unsettled', 'retry-applied-again'] as const).filter(
      (flaw) => bugs.has(flaw),
    ),
  );
  return flaws;
}
