import { EMPTY_VECTOR, join, type VersionVector } from '@meridian/core/causality/version-vector';
import type { ChangeRequest, Condition } from '@meridian/core/coordination/paxos/change';
import { isAbsent, type RegisterValue } from '@meridian/core/coordination/paxos/register';
import type { SessionToken } from '@meridian/core/coordination/session';
import { type RecordKey, recordKey, type Sequence, storeNameOf } from '@meridian/core/ids';
import type { Namespace } from '@meridian/core/placement/namespace';
import { MeridianError } from '@meridian/core/wire/errors';
import { AnswerHeads, type Served } from './answer-heads.ts';
import type { NodeState } from './node-state.ts';
import { conditionOf, registerTag, requestIdOf } from './registers/conditions.ts';
import type { RegisterRequests } from './registers/register-requests.ts';
import type { RelaxedReads } from './registers/relaxed-reads.ts';
import type { Level, PutValue, ReadAnswer, RequestOptions, SeenValue, WriteAnswer } from './service.ts';
import type { Tokens } from './tokens.ts';

export interface StrongChange {
  /** `undefined` deletes. */
  readonly value: PutValue | undefined;
  readonly ttlMs: number | null;
  readonly context: string | undefined;
  readonly onlyIfAbsent: boolean;
}

const EMPTY_BODY = new Uint8Array(0);

/**
 * The key-value calls in namespaces of mode strong. All are linearizable, whatever level is asked for, but for reads that ask
 * for `eventual`: those get the last value known to be chosen at the nearest replica.
 */
export class StrongKeyValues {
  readonly #state: NodeState;
  readonly #requests: RegisterRequests;
  readonly #relaxed: RelaxedReads;
  readonly #tokens: Tokens;
  readonly #heads: AnswerHeads;

  constructor(state: NodeState, requests: RegisterRequests, relaxed: RelaxedReads, tokens: Tokens) {
    this.#state = state;
    this.#requests = requests;
    this.#relaxed = relaxed;
    this.#tokens = tokens;
    this.#heads = new AnswerHeads(tokens, state.clock);
  }

  async get(namespace: Namespace, plainKey: string, options: RequestOptions): Promise<ReadAnswer> {
    const startedAtMs = this.#state.clock.monotonicMs();
    const key = recordKey(namespace.id, plainKey);
    const token = this.#tokens.openSession(options.session);
    if (isRelaxed(options)) {
      const { value, served, stalenessMs } = await this.#relaxed.read(key, options);
      const values = value && isShown(value, this.#state.clock.wallMs()) ? [this.#seenValue(value)] : [];
      return { head: this.#head(namespace, key, value, token, served, stalenessMs, 'eventual', startedAtMs), values };
    }
    const { value, served } = await this.#requests.read(key, options);
    const head = this.#head(namespace, key, value, token, served, 0, 'strong', startedAtMs);
    return { head, values: isAbsent(value) ? [] : [this.#seenValue(value)] };
  }

  /** @throws CONDITION_FAILED, KEY_EXISTS, IDEMPOTENCY_KEY_REUSED, QUORUM_UNAVAILABLE, OUTCOME_UNKNOWN, RATE_LIMITED, INVALID_CONTEXT */
  async change(
    namespace: Namespace,
    plainKey: string,
    change: StrongChange,
    options: RequestOptions,
  ): Promise<WriteAnswer> {
    const startedAtMs = this.#state.clock.monotonicMs();
    const key = recordKey(namespace.id, plainKey);
    const token = this.#tokens.openSession(options.session);
    const { value, ttlMs, onlyIfAbsent } = change;
    const seen = this.#tokens.openContext(key, change.context);
    const condition = conditionOf(namespace, options.conditions, seen, onlyIfAbsent);
    const request: ChangeRequest = {
      clientsId: requestIdOf(this.#state, key, options.conditions?.idempotencyKey, { value, onlyIfAbsent, condition }),
      body: value ? value.body : null,
      contentType: value ? value.contentType : '',
      ttlMs,
      session: token,
      condition,
    };
    const { verdict, served } = await this.#requests.change(key, request, options);
    if (verdict.kind === 'condition-failed' || verdict.kind === 'exists')
      throw refusal(condition, plainKey, onlyIfAbsent);
    if (verdict.kind === 'key-reused')
      throw new MeridianError(
        'IDEMPOTENCY_KEY_REUSED',
        'another change of this key was made under this idempotency key; nothing was written',
        { key: plainKey },
      );
    if (verdict.kind === 'too-many-requests')
      throw new MeridianError(
        'RATE_LIMITED',
        'this key was changed under too many idempotency keys within an hour: to take one more, one would have to be forgotten; nothing was written',
        { key: plainKey },
      );
    const { writer } = verdict;
    const vector = writer ? new Map([[writer, verdict.version as Sequence]]) : EMPTY_VECTOR;
    const head = this.#heads.of(
      { key, vector, token, stalenessMs: 0, etag: registerTag(namespace, verdict.version) },
      served,
      'strong',
      startedAtMs,
    );
    return {
      head,
      existed: verdict.existed,
      timeMs: verdict.timeMs,
      // A repeat is answered as the first was, which another region may have served.
      region: (writer && this.#state.placement.regionOfStore(storeNameOf(writer))) ?? served.region,
      expiresAtMs: verdict.expiresAtMs,
    };
  }

  #head(
    namespace: Namespace,
    key: RecordKey,
    value: RegisterValue | null,
    token: SessionToken,
    served: Served,
    stalenessMs: number | null,
    level: Level,
    startedAtMs: number,
  ) {
    const etag = registerTag(namespace, value?.version ?? 0);
    const seen = { key, vector: vectorOf(value), token: afterRead(token, value), stalenessMs, etag };
    return this.#heads.of(seen, served, level, startedAtMs);
  }

  #seenValue(value: RegisterValue): SeenValue {
    return {
      body: value.body ?? EMPTY_BODY,
      contentType: value.contentType,
      timeMs: value.timeMs,
      region: this.#state.placement.regionOfStore(storeNameOf(value.writer)) ?? null,
      expiresAtMs: value.expiresAtMs,
    };
  }
}

/** Only a client that asks for it by name gets less than this namespace promises. */
export function isRelaxed({ level, isDefaultLevel }: RequestOptions): boolean {
  return level === 'eventual' && isDefaultLevel !== true;
}

function isShown({ body, expiresAtMs }: RegisterValue, wallMs: number): boolean {
  return body !== null && (expiresAtMs === null || expiresAtMs > wallMs);
}

function vectorOf(value: RegisterValue | null): VersionVector {
  return value ? new Map([[value.writer, value.version as Sequence]]) : EMPTY_VECTOR;
}

/** Versions of registers are no dots: what a session has seen of them needs no vector, for later reads cannot see less. */
function afterRead(token: SessionToken, value: RegisterValue | null): SessionToken {
  return value && value.session.size > 0 ? join(token, value.session) : token;
}

function refusal(condition: Condition, key: string, onlyIfAbsent: boolean): MeridianError {
  if (onlyIfAbsent) return new MeridianError('KEY_EXISTS', 'the key has a live value; nothing was written', { key });
  const what =
    condition.kind === 'absent'
      ? 'the key has a live value'
      : condition.kind === 'present'
        ? 'the key has no live value'
        : 'the key has another version than the one named';
  return new MeridianError('CONDITION_FAILED', `${what}; nothing was written`, { key });
}
