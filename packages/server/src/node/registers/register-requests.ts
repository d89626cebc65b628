import type { ChangeRequest, Condition, Verdict, VerdictKind } from '@meridian/core/coordination/paxos/change';
import type { RegisterValue } from '@meridian/core/coordination/paxos/register';
import type { RecordKey, StoreId } from '@meridian/core/ids';
import { type Replica as Place, preferenceList } from '@meridian/core/placement/preference-list';
import { type ErrorCode, MeridianError } from '@meridian/core/wire/errors';
import {
  CHANGE,
  type ChangeCall,
  type ChangeResult,
  CONSULT,
  type ConsultCall,
  type ConsultResult,
  changeResult,
  consultResult,
} from '@meridian/core/wire/messages';
import { decodeRegisterValue, encodeRegisterValue } from '@meridian/core/wire/register-codec';
import { vectorEntries, vectorOf } from '@meridian/core/wire/vector-entries';
import type { Served } from '../answer-heads.ts';
import { CallFailed } from '../calls.ts';
import type { NodeState } from '../node-state.ts';
import type { Peer } from '../peers.ts';
import { round } from '../rounded.ts';
import type { RequestOptions } from '../service.ts';
import type { RegisterAnswer, Registers } from './registers.ts';

export interface ReadAnswer {
  readonly value: RegisterValue | null;
  readonly served: Served;
}

export interface ChangeAnswer {
  readonly verdict: Verdict;
  readonly served: Served;
}

/** Reads and changes of registers, made here where this store is a replica, else passed on to the nearest node whose store is. */
export class RegisterRequests {
  readonly #state: NodeState;
  readonly #registers: Registers;

  constructor(state: NodeState, registers: Registers) {
    this.#state = state;
    this.#registers = registers;
  }

  async read(key: RecordKey, options: RequestOptions): Promise<ReadAnswer> {
    const { catalog } = this.#state;
    if (catalog.isHeldHere(key)) {
      const answer = await this.#registers.read(key, options.requestId, options.timeoutMs);
      return { value: answer.value, served: this.#servedHere(answer) };
    }
    const call: ConsultCall = [CONSULT, key];
    return this.#passOn(key, options, true, async (peer, timeoutMs) => {
      const [store, value, rounds, asked, answered] = await this.#state.calls.call(
        peer.node,
        options.requestId,
        timeoutMs,
        call,
        consultResult,
      );
      return { value: decodeRegisterValue(value), served: servedBy(peer, store, rounds, asked, answered) };
    });
  }

  async change(key: RecordKey, request: ChangeRequest, options: RequestOptions): Promise<ChangeAnswer> {
    const { catalog } = this.#state;
    if (catalog.isHeldHere(key)) {
      const answer = await this.#registers.change(key, request, options.requestId, options.timeoutMs);
      return { verdict: answer.verdict, served: this.#servedHere(answer) };
    }
    const { clientsId, body, contentType, ttlMs, session, condition } = request;
    const [kind, versions] = conditionToWire(condition);
    const call: ChangeCall = [CHANGE, key, clientsId, body, contentType, ttlMs, vectorEntries(session), kind, versions];
    return this.#passOn(key, options, false, async (peer, timeoutMs) => {
      const [store, verdictKind, version, timeMs, expiresAtMs, existed, writer, rounds, asked, answered] =
        await this.#state.calls.call(peer.node, options.requestId, timeoutMs, call, changeResult);
      const verdict = { kind: verdictKind as VerdictKind, version, timeMs, expiresAtMs, existed, writer };
      return { verdict, served: servedBy(peer, store, rounds, asked, answered) };
    });
  }

  async onConsult([, key]: ConsultCall, requestId: string, timeoutMs: number): Promise<ConsultResult> {
    this.#ensureHeld(key);
    const { value, store, rounds, asked, answered } = await this.#registers.read(key, requestId, timeoutMs);
    return [store, encodeRegisterValue(value), rounds, asked, answered];
  }

  async onChange(call: ChangeCall, requestId: string, timeoutMs: number): Promise<ChangeResult> {
    const [, key, clientsId, body, contentType, ttlMs, session, kind, versions] = call;
    this.#ensureHeld(key);
    const condition = conditionFromWire(kind, versions);
    const request = { clientsId, body, contentType, ttlMs, session: vectorOf(session), condition };
    const answer = await this.#registers.change(key, request, requestId, timeoutMs);
    const { kind: verdictKind, version, timeMs, expiresAtMs, existed, writer } = answer.verdict;
    const { store, rounds, asked, answered } = answer;
    return [store, verdictKind, version, timeMs, expiresAtMs, existed, writer, rounds, asked, answered];
  }

  #ensureHeld(key: RecordKey): void {
    if (!this.#state.catalog.isHeldHere(key))
      throw new MeridianError('REPLICA_UNAVAILABLE', 'this node holds no replica of the key');
  }

  #servedHere({ asked, answered, hops, rounds }: RegisterAnswer): Served {
    return { ...this.#state.self.whoAmI(), asked, answered, hops, rounds };
  }

  /** Nearest first. A change that may have been taken is not tried elsewhere: that would apply it twice. */
  async #passOn<Answer extends { readonly served: Served }>(
    key: RecordKey,
    options: RequestOptions,
    isRead: boolean,
    send: (peer: Peer, timeoutMs: number) => Promise<Answer>,
  ): Promise<Answer> {
    const { catalog, peers, self, clock, metrics } = this.#state;
    const askedAtMs = clock.monotonicMs();
    const places = preferenceList(catalog.replicas(key), self, (region) => peers.rttMs(region));
    if (!isRead) metrics.writesPassedOn += 1;
    let refused: MeridianError | undefined;
    for (const { store } of places) {
      const peer = peers.ofStore(store);
      if (!peer || !peers.isLive(peer)) continue;
      const startedAtMs = clock.monotonicMs();
      const leftMs = askedAtMs + options.timeoutMs - startedAtMs;
      if (leftMs <= 0) break;
      try {
        const answer = await send(peer, isRead ? leftMs / 2 : leftMs);
        const ms = round(clock.monotonicMs() - startedAtMs);
        const hop = { node: peer.node, region: peer.region, round: 1, atMs: round(startedAtMs - askedAtMs), ms };
        return { ...answer, served: { ...answer.served, hops: [hop], rounds: answer.served.rounds + 1 } };
      } catch (error) {
        if (hasDoneNothing(error)) refused = error;
        else if (!(error instanceof CallFailed)) throw error;
        else if (error.wasSent && !isRead) throw unanswered(peer);
      }
    }
    throw refused ?? unreachable(places, isRead);
  }
}

/** A replica that hears no majority, or is about to stop: another may do better. */
const NOTHING_DONE: ReadonlySet<ErrorCode> = new Set(['QUORUM_UNAVAILABLE', 'REPLICA_UNAVAILABLE', 'SHUTTING_DOWN']);

function hasDoneNothing(error: unknown): error is MeridianError {
  return error instanceof MeridianError && NOTHING_DONE.has(error.code);
}

function unanswered({ region }: Peer): MeridianError {
  return new MeridianError('OUTCOME_UNKNOWN', `the change was passed on to ${region}, and no answer came`, { region });
}

function unreachable(places: readonly Place[], isRead: boolean): MeridianError {
  const missingRegions = [...new Set(places.map(({ region }) => region))];
  const what = isRead ? 'nothing was read' : 'nothing was written';
  return new MeridianError('REPLICA_UNAVAILABLE', `no replica of this key can be reached; ${what}`, { missingRegions });
}

function servedBy(peer: Peer, store: StoreId, rounds: number, asked: number, answered: number): Served {
  return { node: peer.node, region: peer.region, store, asked, answered, hops: [], rounds };
}

function conditionToWire(condition: Condition): [kind: string, versions: readonly number[]] {
  if (condition.kind === 'versions') return ['versions', condition.versions];
  if (condition.kind === 'seen') return ['seen', [condition.version]];
  return [condition.kind, []];
}

/** @throws MeridianError for a kind that this version does not know */
function conditionFromWire(kind: string, versions: readonly number[]): Condition {
  if (kind === 'always' || kind === 'absent' || kind === 'present') return { kind };
  if (kind === 'versions') return { kind, versions };
  if (kind === 'seen') return { kind, version: versions[0] ?? 0 };
  throw new MeridianError('INTERNAL', 'a condition of a kind that is not in the protocol');
}
