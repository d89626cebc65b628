import { dotText } from '@meridian/core/causality/dot';
import { covers, type VersionVector } from '@meridian/core/causality/version-vector';
import { type RecordKey, recordKey, type Sequence, type StoreId } from '@meridian/core/ids';
import { partitionOf } from '@meridian/core/placement/partition';
import { quorumOf } from '@meridian/core/placement/preference-list';
import { ByteReader } from '@meridian/core/wire/bytes';
import { MeridianError } from '@meridian/core/wire/errors';
import { readVector } from '@meridian/core/wire/record-codec';
import { xxh3Hashes } from '@meridian/server/adapters/system/xxh3-hashes';
import { namespaceIdFor } from '@meridian/server/node/catalog';
import type { Level, ReadAnswer, RequestOptions, WriteAnswer } from '@meridian/server/node/service';
import type { Member } from './member.ts';
import { InvariantBroken, type Oracle } from './oracle.ts';
import type { SeededRandom } from './seeded-random.ts';
import { type MustSee, SessionChecks } from './session-checks.ts';
import { SEAL, type SimulatedCluster } from './simulated-cluster.ts';
import type { Trace } from './trace.ts';
import { EPOCH_MS } from './virtual-time.ts';

export interface SimulatedNamespace {
  readonly name: string;
  readonly placement: 'all' | Readonly<Record<string, number>>;
  readonly conflict: 'siblings' | 'lww';
}

export const NAMESPACES: readonly SimulatedNamespace[] = [
  { name: 'default', placement: 'all', conflict: 'siblings' },
  { name: 'last', placement: 'all', conflict: 'lww' },
  { name: 'pair', placement: { 'us-east': 1, 'eu-central': 1 }, conflict: 'siblings' },
];

const TIMEOUT_MS = 3_000;
const KEYS = 5;
const BULK_KEYS = 60;
/** How wrong a clock may be for a replica still to count as sane. */
const SANE_CLOCK_MS = 200;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export function keyIn(namespace: SimulatedNamespace, key: string): RecordKey {
  return recordKey(namespaceIdFor(namespace.name, 1), key);
}

/** Clients of a simulated cluster: they write, read, hold sessions, and know what they were told. */
export class Clients {
  readonly #cluster: SimulatedCluster;
  readonly #random: SeededRandom;
  readonly #oracle: Oracle;
  readonly #trace: Trace;
  readonly #sessionsOfBodies = new Map<string, MustSee>();
  readonly #expiries = new Map<string, number>();
  readonly counts = { acknowledged: 0, unknown: 0, refused: 0, reads: 0 };
  #count = 0;
  #isOver = false;
  #running = 0;

  constructor(cluster: SimulatedCluster, random: SeededRandom, oracle: Oracle, trace: Trace) {
    this.#cluster = cluster;
    this.#random = random;
    this.#oracle = oracle;
    this.#trace = trace;
  }

  get areDone(): boolean {
    return this.#running === 0;
  }

  stop(): void {
    this.#isOver = true;
  }

  start(count: number, onBroken: (error: unknown) => void): void {
    for (let at = 0; at < count; at++) {
      const step =
        at % 3 === 0 ? this.#sessionClient(at) : at % 3 === 1 ? () => this.#plainStep() : () => this.#bulkStep();
      this.#running += 1;
      this.#loop(step)
        .catch(onBroken)
        .finally(() => (this.#running -= 1));
    }
  }

  async #loop(step: () => Promise<void>): Promise<void> {
    while (!this.#isOver) {
      await this.#cluster.time.sleep(this.#random.between(1, 120));
      await step();
    }
  }

  #member(): Member | undefined {
    const { alive } = this.#cluster;
    return alive.length === 0 ? undefined : this.#random.pick(alive);
  }

  options(level: Level, session?: string): RequestOptions {
    this.#count += 1;
    return { requestId: `r${this.#count}`, level, timeoutMs: TIMEOUT_MS, session };
  }

  /** The answer, or why there is none: a refusal, or silence (a crash, a doubtful outcome). */
  async #ask<Answer>(member: Member, request: () => Promise<Answer>): Promise<Answer | 'refused' | 'unknown'> {
    const silence = this.#cluster.time.sleep(TIMEOUT_MS * 2).then(() => 'unknown' as const);
    try {
      const answer = await Promise.race([request(), silence]);
      if (answer === 'unknown') this.counts.unknown += 1;
      return answer;
    } catch (error) {
      if (!(error instanceof MeridianError)) throw error;
      this.#trace.add(`${this.#cluster.time.nowMs} ${member.name} ${error.code}`);
      if (error.code === 'INTERNAL')
        throw new InvariantBroken(11, `an internal error at ${member.name}: ${error.message}`);
      this.counts[error.code === 'OUTCOME_UNKNOWN' ? 'unknown' : 'refused'] += 1;
      return error.code === 'OUTCOME_UNKNOWN' ? 'unknown' : 'refused';
    }
  }

  #vectorOf(key: RecordKey, context: string): VersionVector {
    const payload = SEAL.open(`context\0${key}`, context);
    if (!payload) throw new Error('a context that does not open');
    return readVector(new ByteReader(payload));
  }

  #onAcknowledged(namespace: SimulatedNamespace, key: RecordKey, level: Level, answer: WriteAnswer): VersionVector {
    const vector = this.#vectorOf(key, answer.head.context);
    const store: StoreId = answer.head.receipt.store;
    const name = dotText({ store, sequence: vector.get(store) as Sequence });
    this.counts.acknowledged += 1;
    this.#trace.add(`${this.#cluster.time.nowMs} acknowledged ${name} ${level}`);
    this.#oracle.acknowledge(name);
    const holders = this.holders(namespace, key);
    this.#oracle.checkDurable(name, holders, level === 'quorum' ? quorumOf(holders.length) : 1);
    return vector;
  }

  holders(namespace: SimulatedNamespace, key: RecordKey): readonly Member[] {
    return this.#cluster.holders(namespace.placement, partitionOf(xxh3Hashes.text, key));
  }

  async #plainStep(): Promise<void> {
    const member = this.#member();
    if (!member) return;
    const namespace = this.#random.pick(NAMESPACES);
    const key = `k${this.#random.below(KEYS)}`;
    const level = this.#random.pick(['eventual', 'eventual', 'quorum'] as const);
    const kind = this.#random.share();
    if (kind < 0.35) await this.write(member, namespace, key, level);
    else if (kind < 0.7) await this.#readModifyWrite(member, namespace, key, level);
    else if (kind < 0.8) await this.#remove(member, namespace, key, level);
    else if (kind < 0.9) await this.#writeExpiring(member, namespace);
    else await this.read(member, namespace, key, level);
  }

  /** Bursts over many keys: what makes a backlog. */
  async #bulkStep(): Promise<void> {
    const member = this.#member();
    if (!member) return;
    const writes = Array.from({ length: this.#random.below(12) }, () =>
      this.write(
        member,
        NAMESPACES[0] as SimulatedNamespace,
        `bulk${this.#random.below(BULK_KEYS)}`,
        'eventual',
        'x'.repeat(200),
      ),
    );
    await Promise.all(writes);
  }

  #newBody(padding = ''): string {
    this.#count += 1;
    return `v${this.#count}${padding}`;
  }

  async write(
    member: Member,
    namespace: SimulatedNamespace,
    key: string,
    level: Level,
    padding = '',
  ): Promise<boolean> {
    const body = this.#newBody(padding);
    const answer = await this.#put(member, namespace, key, body, level);
    return typeof answer !== 'string';
  }

  async #put(
    member: Member,
    namespace: SimulatedNamespace,
    key: string,
    body: string,
    level: Level,
    given: { context?: string; session?: string; ttlSeconds?: number } = {},
  ) {
    const value = { body: encoder.encode(body), contentType: 'text/plain', ttlSeconds: given.ttlSeconds };
    const { process } = member;
    if (!process) return 'refused' as const;
    const answer = await this.#ask(member, () =>
      process.node.put(namespace.name, key, value, given.context, this.options(level, given.session)),
    );
    if (typeof answer === 'string') return answer;
    return { answer, vector: this.#onAcknowledged(namespace, keyIn(namespace, key), level, answer) };
  }

  async read(
    member: Member,
    namespace: SimulatedNamespace,
    key: string,
    level: Level,
    session?: string,
  ): Promise<ReadAnswer | undefined> {
    const { process } = member;
    if (!process) return undefined;
    const answer = await this.#ask(member, () => process.node.get(namespace.name, key, this.options(level, session)));
    if (typeof answer === 'string') return undefined;
    this.counts.reads += 1;
    this.#checkExpiry(member, namespace, key, answer);
    // What was seen once must survive any crash: else its dot may be issued again, for something else.
    for (const { body } of answer.values)
      this.#oracle.checkSeen(
        keyIn(namespace, key),
        decoder.decode(body),
        this.holders(namespace, keyIn(namespace, key)),
      );
    return answer;
  }

  #checkExpiry(member: Member, namespace: SimulatedNamespace, key: string, answer: ReadAnswer): void {
    if (Math.abs(member.clockOffsetMs) > SANE_CLOCK_MS || answer.head.receipt.node !== member.name) return;
    for (const value of answer.values) {
      const expiresAtMs = this.#expiries.get(decoder.decode(value.body));
      if (expiresAtMs !== undefined && EPOCH_MS + this.#cluster.time.nowMs > expiresAtMs + 2 * SANE_CLOCK_MS) {
        throw new InvariantBroken(
          6,
          `${namespace.name}/${key} was seen at ${member.name} ${Math.round(EPOCH_MS + this.#cluster.time.nowMs - expiresAtMs)} ms after its expiry`,
        );
      }
    }
  }

  async #writeExpiring(member: Member, namespace: SimulatedNamespace): Promise<void> {
    const key = `ttl${this.#random.below(2)}`;
    const ttlSeconds = 1 + this.#random.below(3);
    const body = this.#newBody();
    if (Math.abs(member.clockOffsetMs) <= SANE_CLOCK_MS) this.#expiries.set(body, Number.POSITIVE_INFINITY);
    const done = await this.#put(member, namespace, key, body, 'eventual', { ttlSeconds });
    if (typeof done === 'string') return;
    // Told by the answer: a clock that was wrong where it was written makes for another expiry, which all then keep to.
    if (done.answer.expiresAtMs !== null) this.#expiries.set(body, done.answer.expiresAtMs);
    await this.#cluster.time.sleep(ttlSeconds * 1000 + this.#random.between(0, 2_000));
    const reader = this.#member();
    if (reader) await this.read(reader, namespace, key, 'eventual');
  }

  async #remove(member: Member, namespace: SimulatedNamespace, key: string, level: Level): Promise<void> {
    const { process } = member;
    if (!process) return;
    const answer = await this.#ask(member, () =>
      process.node.delete(namespace.name, key, undefined, this.options(level)),
    );
    if (typeof answer !== 'string' && answer.existed)
      this.#onAcknowledged(namespace, keyIn(namespace, key), level, answer);
  }

  async #readModifyWrite(member: Member, namespace: SimulatedNamespace, key: string, level: Level): Promise<void> {
    const read = await this.read(member, namespace, key, level);
    if (!read) return;
    await this.#cluster.time.sleep(this.#random.between(0, 400));
    const writer = this.#random.chance(0.5) ? member : this.#member();
    if (!writer) return;
    const body = this.#newBody();
    this.#announce(keyIn(namespace, key), body, read);
    await this.#put(writer, namespace, key, body, level, { context: read.head.context });
  }

  /** A context has seen the values shown, and what is not shown: tombstones, what expired, what a last writer hid. */
  #announce(key: RecordKey, body: string, read: ReadAnswer): void {
    const vector = this.#vectorOf(key, read.head.context);
    const shown = new Set(read.values.map((value) => decoder.decode(value.body)));
    const seen = this.#oracle
      .writesOf(key)
      .filter((write) => shown.has(write.body) || (covers(vector, write.dot) && this.#isHidden(key, write)));
    this.#oracle.announce(
      key,
      body,
      seen.map(({ name }) => name),
    );
  }

  #isHidden(key: RecordKey, write: { isDelete: boolean; body: string }): boolean {
    return write.isDelete || this.#expiries.has(write.body) || key.startsWith('last.');
  }

  /** A session that hops from node to node. */
  #sessionClient(at: number): () => Promise<void> {
    const session = new SessionChecks(`s${at}`);
    return async () => {
      const member = this.#member();
      if (!member) return;
      const namespace = this.#random.pick(NAMESPACES);
      const key = `k${this.#random.below(KEYS)}`;
      if (this.#random.chance(0.45)) await this.#sessionWrite(session, member, namespace, key);
      else await this.#sessionRead(session, member, namespace, key);
    };
  }

  async #sessionWrite(
    session: SessionChecks,
    member: Member,
    namespace: SimulatedNamespace,
    key: string,
  ): Promise<void> {
    const body = this.#newBody();
    this.#sessionsOfBodies.set(body, session.snapshot());
    const done = await this.#put(
      member,
      namespace,
      key,
      body,
      'session',
      session.token === undefined ? {} : { session: session.token },
    );
    if (typeof done === 'string') return;
    session.token = done.answer.head.session;
    session.wrote(keyIn(namespace, key), done.vector);
  }

  async #sessionRead(
    session: SessionChecks,
    member: Member,
    namespace: SimulatedNamespace,
    key: string,
  ): Promise<void> {
    const answer = await this.read(member, namespace, key, 'session', session.token);
    if (!answer) return;
    const writers = answer.values
      .map((value) => this.#sessionsOfBodies.get(decoder.decode(value.body)))
      .filter((seen) => seen !== undefined);
    session.token = answer.head.session;
    session.read(
      keyIn(namespace, key),
      this.#vectorOf(keyIn(namespace, key), answer.head.context),
      writers,
      member.name,
    );
  }
}
