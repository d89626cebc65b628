import { lastWriterSibling, liveSiblings, type Sibling, type VersionedRecord } from '@meridian/core/causality/record';
import { EMPTY_VECTOR } from '@meridian/core/causality/version-vector';
import { type SessionToken, tokenAfterRead, tokenAfterWrite } from '@meridian/core/coordination/session';
import { type RecordKey, recordKey, storeNameOf } from '@meridian/core/ids';
import type { Namespace } from '@meridian/core/placement/namespace';
import { MeridianError } from '@meridian/core/wire/errors';
import type { Meter } from '../ports/meter.ts';
import { AnswerHeads } from './answer-heads.ts';
import type { Namespaces } from './namespaces.ts';
import type { NodeState } from './node-state.ts';
import type { ReadOutcome } from './read-outcome.ts';
import type { Reads } from './reads.ts';
import type { PutValue, ReadAnswer, RequestOptions, SeenValue, WriteAnswer, WriteConditions } from './service.ts';
import type { StrongKeyValues } from './strong-key-values.ts';
import type { Tokens } from './tokens.ts';
import type { WriteInput, WriteOutcome, Writes } from './writes.ts';

const EMPTY_BODY = new Uint8Array(0);

/** The key-value calls of the service: names and tokens in, answers with their heads out. */
export class KeyValues {
  readonly #state: NodeState;
  readonly #namespaces: Namespaces;
  readonly #reads: Reads;
  readonly #writes: Writes;
  readonly #tokens: Tokens;
  readonly #meter: Meter | undefined;
  readonly #strong: StrongKeyValues;
  readonly #heads: AnswerHeads;

  constructor(
    state: NodeState,
    namespaces: Namespaces,
    reads: Reads,
    writes: Writes,
    strong: StrongKeyValues,
    tokens: Tokens,
    meter: Meter | undefined,
  ) {
    this.#state = state;
    this.#namespaces = namespaces;
    this.#reads = reads;
    this.#writes = writes;
    this.#tokens = tokens;
    this.#meter = meter;
    this.#strong = strong;
    this.#heads = new AnswerHeads(tokens, state.clock);
  }

  /** At once where nothing has to be waited for: a small read is short enough for its promises to count. */
  get(namespaceName: string, plainKey: string, options: RequestOptions): ReadAnswer | Promise<ReadAnswer> {
    const startedAtMs = this.#state.clock.monotonicMs();
    try {
      const namespace = this.#state.catalog.get(namespaceName);
      const answer = namespace
        ? this.#getIn(namespace, plainKey, options, startedAtMs)
        : this.#find(namespaceName, plainKey, options, startedAtMs);
      if (answer instanceof Promise) return this.#measured('get', answer, options, startedAtMs);
      this.#measure('get', options, 'ok', startedAtMs);
      return answer;
    } catch (error) {
      this.#measure('get', options, codeOf(error), startedAtMs);
      throw error;
    }
  }

  async #find(name: string, plainKey: string, options: RequestOptions, startedAtMs: number): Promise<ReadAnswer> {
    return this.#getIn(await this.#namespaces.find(name, options), plainKey, options, startedAtMs);
  }

  #getIn(
    namespace: Namespace,
    plainKey: string,
    options: RequestOptions,
    startedAtMs: number,
  ): ReadAnswer | Promise<ReadAnswer> {
    if (namespace.mode === 'strong') return this.#strong.get(namespace, plainKey, options);
    const key = recordKey(namespace.id, plainKey);
    const token = this.#tokens.openSession(options.session);
    const reading = this.#reads.read(key, token, options);
    return reading instanceof Promise
      ? reading.then((outcome) => this.#readAnswer(key, namespace, token, outcome, startedAtMs, options))
      : this.#readAnswer(key, namespace, token, reading, startedAtMs, options);
  }

  #readAnswer(
    key: RecordKey,
    namespace: Namespace,
    token: SessionToken,
    outcome: ReadOutcome,
    startedAtMs: number,
    options: RequestOptions,
  ): ReadAnswer {
    const vector = outcome.record?.vector ?? EMPTY_VECTOR;
    const values = this.valuesOf(outcome.record, namespace);
    const seen = { key, vector, token: tokenAfterRead(token, outcome.record), stalenessMs: outcome.stalenessMs };
    const head = this.#heads.of(seen, outcome, options.level, startedAtMs);
    const hidden = outcome.record && values.length < outcome.record.siblings.length ? `.${values.length}` : '';
    return { head: hidden ? { ...head, etag: head.etag + hidden } : head, values };
  }

  #measure(kind: string, { level }: RequestOptions, outcome: string, startedAtMs: number): void {
    const { metrics } = this.#state;
    if (kind !== 'get' && outcome === 'ok') metrics.writesAcknowledged += 1;
    if (kind !== 'get' && outcome === 'OUTCOME_UNKNOWN') metrics.outcomesUnknown += 1;
    this.#meter?.operation(kind, level, outcome, this.#state.clock.monotonicMs() - startedAtMs);
  }

  /** What readers see of a record, winner first. */
  valuesOf(record: VersionedRecord | undefined, namespace: Namespace): readonly SeenValue[] {
    if (!record) return [];
    const wallMs = this.#wallMsFor(record);
    if (namespace.conflict === 'siblings') return liveSiblings(record, wallMs).map(this.seenValue);
    const winner = lastWriterSibling(record, wallMs);
    return winner ? [this.seenValue(winner)] : [];
  }

  /** Of a record that cannot expire it does not matter. */
  #wallMsFor({ siblings }: VersionedRecord): number {
    if (siblings.every(({ expiresAtMs }) => expiresAtMs === null)) return 0;
    return this.#state.clock.wallMs() - (this.#state.bugs.has('expired-stays-visible') ? 60_000 : 0);
  }

  seenValue = (sibling: Sibling): SeenValue => ({
    body: sibling.body ?? EMPTY_BODY,
    contentType: sibling.contentType,
    timeMs: sibling.timeMs,
    region: this.#state.placement.regionOfStore(storeNameOf(sibling.dot.store)) ?? null,
    expiresAtMs: sibling.expiresAtMs,
  });

  put(
    namespace: string,
    key: string,
    value: PutValue,
    context: string | undefined,
    options: RequestOptions,
  ): Promise<WriteAnswer> {
    return this.#write(namespace, key, value, context, false, options);
  }

  async create(namespace: string, key: string, value: PutValue, options: RequestOptions): Promise<WriteAnswer> {
    const answer = await this.#write(namespace, key, value, undefined, true, options);
    if (answer.existed) {
      throw new MeridianError('KEY_EXISTS', `a live value was found at level ${options.level}; nothing was written`, {
        key,
        level: options.level,
      });
    }
    return answer;
  }

  delete(namespace: string, key: string, context: string | undefined, options: RequestOptions): Promise<WriteAnswer> {
    return this.#write(namespace, key, undefined, context, false, options);
  }

  async #write(
    namespaceName: string,
    plainKey: string,
    value: PutValue | undefined,
    context: string | undefined,
    onlyIfAbsent: boolean,
    options: RequestOptions,
  ): Promise<WriteAnswer> {
    const startedAtMs = this.#state.clock.monotonicMs();
    const namespace = this.#state.catalog.get(namespaceName) ?? (await this.#namespaces.find(namespaceName, options));
    if (namespace.mode === 'strong')
      return this.#writeStrong(namespace, plainKey, value, context, onlyIfAbsent, options, startedAtMs);
    if (options.conditions) refuseConditions(options.conditions);
    const key = recordKey(namespace.id, plainKey);
    const token = this.#tokens.openSession(options.session);
    const input: WriteInput = {
      body: value ? value.body : null,
      contentType: value ? value.contentType : '',
      ttlMs: value ? ttlMsOf(value, namespace) : null,
      context: this.#tokens.openContext(key, context),
      session: options.level === 'session' ? token : EMPTY_VECTOR,
      onlyIfAbsent,
    };
    const outcome = await this.#measured(
      kindOf(value, onlyIfAbsent),
      this.#writes.write(key, input, options),
      options,
      startedAtMs,
    );
    return this.#answerOf(key, outcome, token, startedAtMs, options);
  }

  #writeStrong(
    namespace: Namespace,
    plainKey: string,
    value: PutValue | undefined,
    context: string | undefined,
    onlyIfAbsent: boolean,
    options: RequestOptions,
    startedAtMs: number,
  ): Promise<WriteAnswer> {
    const change = { value, ttlMs: value ? ttlMsOf(value, namespace) : null, context, onlyIfAbsent };
    const written = this.#strong.change(namespace, plainKey, change, options);
    return this.#measured(kindOf(value, onlyIfAbsent), written, options, startedAtMs);
  }

  async #measured<Outcome>(
    kind: string,
    operation: Promise<Outcome>,
    options: RequestOptions,
    startedAtMs: number,
  ): Promise<Outcome> {
    try {
      const outcome = await operation;
      this.#measure(kind, options, 'ok', startedAtMs);
      return outcome;
    } catch (error) {
      this.#measure(kind, options, codeOf(error), startedAtMs);
      throw error;
    }
  }

  #answerOf(
    key: RecordKey,
    outcome: WriteOutcome,
    token: SessionToken,
    startedAtMs: number,
    options: RequestOptions,
  ): WriteAnswer {
    const after = outcome.sequence === 0 ? token : tokenAfterWrite(token, outcome.store, outcome.sequence);
    return {
      head: this.#heads.of(
        { key, vector: outcome.vector, token: after, stalenessMs: 0 },
        outcome,
        options.level,
        startedAtMs,
      ),
      existed: outcome.existed,
      timeMs: outcome.timeMs,
      region: outcome.region,
      expiresAtMs: outcome.expiresAtMs,
    };
  }
}

function kindOf(value: PutValue | undefined, onlyIfAbsent: boolean): string {
  if (!value) return 'delete';
  return onlyIfAbsent ? 'create' : 'put';
}

/** They would be checked against one replica only, so they are refused rather than half kept. */
function refuseConditions({ ifMatch, ifNoneMatch }: WriteConditions): never {
  const isOfKey = ifMatch === undefined && ifNoneMatch === undefined;
  const what = isOfKey ? '"Idempotency-Key"' : '"If-Match" and "If-None-Match"';
  const instead = isOfKey ? 'Use' : 'Create with POST, or use';
  throw new MeridianError(
    'CONDITION_NEEDS_STRONG_NAMESPACE',
    `In an eventual namespace ${what} would be checked against one replica only. ${instead} a namespace of mode strong.`,
  );
}

function codeOf(error: unknown): string {
  return error instanceof MeridianError ? error.code : 'INTERNAL';
}

function ttlMsOf(value: PutValue, namespace: Namespace): number | null {
  const seconds = value.ttlSeconds ?? namespace.defaultTtlSeconds;
  return seconds === null ? null : seconds * 1000;
}
