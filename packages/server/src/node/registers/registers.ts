import { type ProposerId, proposerIdFor, proposerStoreOf, Rounds } from '@meridian/core/coordination/paxos/ballot';
import type { ChangeRequest, Verdict } from '@meridian/core/coordination/paxos/change';
import type { Member, Members, Question, Reply } from '@meridian/core/coordination/paxos/messages';
import type { Attempt } from '@meridian/core/coordination/paxos/operation';
import type { PlantedFlaws } from '@meridian/core/coordination/paxos/planted-flaws';
import { startChange, startIdentity, startRead } from '@meridian/core/coordination/paxos/proposer';
import type { RegisterValue } from '@meridian/core/coordination/paxos/register';
import type { RecordKey, StoreId } from '@meridian/core/ids';
import { type Replica as Place, quorumOf } from '@meridian/core/placement/preference-list';
import { MeridianError } from '@meridian/core/wire/errors';
import { REGISTER, registerResult, type WireQuestion } from '@meridian/core/wire/messages';
import type { Random } from '../../ports/random.ts';
import type { NodeState } from '../node-state.ts';
import type { Peer } from '../peers.ts';
import { round } from '../rounded.ts';
import type { Hop } from '../service.ts';
import type { Acceptors } from './acceptors.ts';
import { BallotCache } from './ballot-cache.ts';
import type { ChosenNews } from './chosen-news.ts';
import { KeyQueues } from './key-queues.ts';
import type { KnownStores } from './known-stores.ts';
import { OperationRun, ROUNDS_AHEAD, type RunOutcome, type RunSetting } from './operation-run.ts';
import { replyFromWire, toWire } from './register-wire.ts';

const PROPOSER_ID_LENGTH = 16;
/** Beyond the round trip, what a replica may take for an answer before its round goes on without it. */
const PATIENCE_MS = 400;
/** Replicas within such a round trip are asked one after another for what needs no more of them. */
const NEAR_MS = 5;

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
  readonly #random: Random;
  readonly #cache = new BallotCache();
  readonly #queues: KeyQueues;
  readonly #rounds = new Rounds();
  readonly #life: string;
  readonly #members = new WeakMap<readonly Place[], Members>();
  /** The question asked last: it goes to several replicas. */
  #lastAsked: { readonly question: Question; readonly wire: WireQuestion } | undefined;

  constructor(state: NodeState, acceptors: Acceptors, known: KnownStores, news: ChosenNews, random: Random) {
    this.#state = state;
    this.#acceptors = acceptors;
    this.#known = known;
    this.#news = news;
    this.#random = random;
    this.#life = state.bugs.has('ballot-reused') ? 'the-same' : random.id(PROPOSER_ID_LENGTH);
    this.#queues = new KeyQueues(state.clock);
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
   * may not have it himself, is proposed once more by this one. @throws QUORUM_UNAVAILABLE
   */
  async settle(key: RecordKey, requestId: string, timeoutMs: number): Promise<void> {
    const { store, self } = this.#state;
    const { chosen, behind } = (await this.#read(key, requestId, timeoutMs)).done;
    if (!chosen || (proposerStoreOf(chosen.proposer) === store.id && !behind.includes(self.store))) return;
    await this.#queues.run(key, timeoutMs, async (leftMs) => {
      const places = this.#state.catalog.replicas(key);
      const setting = this.#settingOf(key, places, requestId);
      this.#cache.take(key);
      const floor = await this.#acceptors.promisedRound(key);
      const first = startIdentity(this.#proposer(places), setting.attempt(floor));
      this.#learn(key, await new OperationRun(setting, first, leftMs).run(first));
    });
  }

  async #read(key: RecordKey, requestId: string, timeoutMs: number): Promise<RunOutcome> {
    const places = this.#state.catalog.replicas(key);
    const setting = this.#settingOf(key, places, requestId);
    ensureReachable(setting, 'nothing was read');
    const first = startRead(this.#proposer(places), setting.attempt(0));
    const outcome = await new OperationRun(setting, first, timeoutMs).run(first);
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
    const places = this.#state.catalog.replicas(key);
    const setting = this.#settingOf(key, places, requestId);
    ensureReachable(setting, 'nothing was written');
    const cached = this.#cache.take(key);
    // What this replica has promised to others would refuse a lower round: to look costs less than to be refused.
    const promised = cached ? 0 : await this.#acceptors.promisedRound(key);
    const floor = promised === 0 ? 0 : promised + ROUNDS_AHEAD;
    const first = startChange(this.#proposer(places), request, setting.attempt(floor), cached);
    if (cached && this.#state.bugs.has('ballot-kept-after-doubt')) this.#cache.put(key, cached);
    const outcome = await new OperationRun(setting, first, timeoutMs).run(first);
    this.#learn(key, outcome);
    const { result, cache } = outcome.done;
    if (cache) this.#cache.put(key, cache);
    if (result.kind !== 'change') throw new Error('a change that ended as something else');
    return { ...this.#answerOf(outcome), verdict: result.verdict };
  }

  #proposer(places: readonly Place[]) {
    return { id: this.#proposerId, required: this.#requiredOf(places), flaws: flawsOf(this.#state) };
  }

  #requiredOf(places: readonly Place[]): number {
    return this.#state.bugs.has('quorum-of-one') ? 1 : quorumOf(places.length);
  }

  #learn(key: RecordKey, { done }: RunOutcome): void {
    if (done.chosen) this.#news.tell(key, done.chosen);
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

  #settingOf(key: RecordKey, places: readonly Place[], requestId: string): RunSetting {
    const { clock, self, peers, filling } = this.#state;
    const required = this.#requiredOf(places);
    return {
      clock,
      random: this.#random,
      self: self.store,
      bugs: this.#state.bugs,
      ask: (to, question, timeoutMs) => this.#ask(to, key, question, requestId, timeoutMs),
      attempt: (aboveRound): Attempt => ({
        round: this.#roundAbove(aboveRound),
        wallMs: clock.wallMs(),
        members: this.#membersOf(places),
      }),
      patienceMs: () => PATIENCE_MS + 3 * this.#farthestMs(places),
      enoughOf: (members) => this.#enoughOf(members, required),
      farthestMs: () => this.#farthestMs(places),
      live: () => {
        const missing = places.filter(({ store }) =>
          store === self.store ? !filling.isFilled() : !peers.isStoreLive(store),
        );
        const missingRegions = [...new Set(missing.map(({ region }) => region))];
        return { reached: places.length - missing.length, required, missingRegions };
      },
      hopOf: (name, rounds, atMs, ms) => {
        const peer = name === self.store ? undefined : peers.ofStore(name);
        return peer && { node: peer.node, region: peer.region, round: rounds, atMs: round(atMs), ms: round(ms) };
      },
    };
  }

  #enoughOf(members: Members, required: number): Members {
    const { self, peers } = this.#state;
    if (members.length <= required) return members;
    const near: { readonly member: Member; readonly rttMs: number }[] = [];
    for (const member of members) {
      const peer = member.name === self.store ? undefined : peers.ofStore(member.name);
      const rttMs = member.name === self.store ? 0 : peer && peers.isLive(peer) ? peer.nearestRttMs : undefined;
      if (rttMs === undefined || rttMs > NEAR_MS) return members;
      near.push({ member, rttMs });
    }
    near.sort((one, other) => one.rttMs - other.rttMs);
    return near.slice(0, required).map(({ member }) => member);
  }

  /** Of one that was never measured nothing is known, and it is not waited for longer. */
  #farthestMs(places: readonly Place[]): number {
    return Math.max(0, ...places.map(({ store }) => this.#state.peers.ofStore(store)?.rttMs ?? 0));
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

  async #ask(to: Member, key: RecordKey, question: Question, requestId: string, timeoutMs: number): Promise<Reply> {
    const { self, peers, calls } = this.#state;
    if (to.name === self.store) return this.#acceptors.answer(key, question, timeoutMs);
    const { node } = peers.ofStore(to.name) as Peer;
    if (this.#lastAsked?.question !== question) this.#lastAsked = { question, wire: toWire(question) };
    const call = [REGISTER, key, this.#lastAsked.wire] as const;
    const [, reply] = await calls.call(node, requestId, timeoutMs, call, registerResult);
    return replyFromWire(question, reply);
  }
}

function ensureReachable(setting: RunSetting, what: string): void {
  const { reached, required, missingRegions } = setting.live();
  if (reached >= required) return;
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
