import { dotText } from '@meridian/core/causality/dot';
import { covers, type VersionVector } from '@meridian/core/causality/version-vector';
import type { RecordKey, Sequence, StoreId } from '@meridian/core/ids';
import { partitionOf } from '@meridian/core/placement/partition';
import { quorumOf } from '@meridian/core/placement/preference-list';
import { ByteReader } from '@meridian/core/wire/bytes';
import { readVector } from '@meridian/core/wire/record-codec';
import { xxh3Hashes } from '@meridian/server/adapters/system/xxh3-hashes';
import type { MeridianNode } from '@meridian/server/node/node';
import type { Level, ReadAnswer, RequestOptions, WriteAnswer } from '@meridian/server/node/service';
import { Clocks, SANE_CLOCK_MS } from './clocks.ts';
import { InvariantBroken } from './invariant-broken.ts';
import type { Member } from './member.ts';
import type { Oracle } from './oracle.ts';
import { Requests } from './requests.ts';
import type { SeededRandom } from './seeded-random.ts';
import { type MustSee, SessionChecks } from './session-checks.ts';
import { SEAL, type SimulatedCluster } from './simulated-cluster.ts';
import { StrongClients } from './strong-clients.ts';
import { StrongHistory } from './strong-history.ts';
import { keyIn, NAMESPACES, type SimulatedNamespace, STRONG_NAMESPACES } from './targets.ts';
import type { Trace } from './trace.ts';
import { EPOCH_MS } from './virtual-time.ts';

const KEYS = 5;
const BULK_KEYS = 60;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Clients of a simulated cluster: they write, read, hold sessions, and know what they were told. */
export class Clients {
  readonly #cluster: SimulatedCluster;
  readonly #random: SeededRandom;
  readonly #oracle: Oracle;
  readonly #trace: Trace;
  readonly #sessionsOfBodies = new Map<string, MustSee>();
  readonly #expiries = new Map<string, number>();
  readonly counts = { acknowledged: 0, reads: 0 };
  readonly history: StrongHistory;
  readonly strong: StrongClients;
  readonly #requests: Requests;
  readonly #clocks: Clocks;
  #isOver = false;
  #running = 0;

  constructor(cluster: SimulatedCluster, random: SeededRandom, oracle: Oracle, trace: Trace) {
    this.#cluster = cluster;
    this.#random = random;
    this.#oracle = oracle;
    this.#trace = trace;
    this.#requests = new Requests(cluster, trace);
    this.#clocks = new Clocks(cluster);
    this.history = new StrongHistory(() => cluster.time.nowMs);
    this.strong = new StrongClients(
      cluster,
      random.fork(),
      this.#requests,
      oracle.registers,
      this.history,
      this.#clocks,
    );
  }

  get areDone(): boolean {
    return this.#running === 0;
  }

  stop(): void {
    this.#isOver = true;
    this.strong.isOver = true;
  }

  /** `contenders` more all want the same register: at level strong in an eventual namespace, or in a strong one. */
  start(count: number, contenders: number, isLevel: boolean, onBroken: (error: unknown) => void): void {
    const kinds = [
      (at: number) => this.#sessionClient(at),
      () => () => this.#plainStep(),
      () => () => this.#bulkStep(),
      () => () => this.strong.step(),
      () => () => this.strong.step(),
    ];
    for (let at = 0; at < count; at++) this.#run((kinds[at % kinds.length] as (typeof kinds)[0])(at), onBroken);
    for (let at = 0; at < contenders; at++) this.#run(() => this.strong.contend(isLevel), onBroken);
  }

  #run(step: () => Promise<void>, onBroken: (error: unknown) => void): void {
    this.#running += 1;
    this.#loop(step)
      .catch(onBroken)
      .finally(() => (this.#running -= 1));
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
    return this.#requests.options(level, session);
  }

  /** The answer, or nothing: a refusal, or silence. */
  async #ask<Answer>(member: Member, request: (node: MeridianNode) => Promise<Answer>): Promise<Answer | undefined> {
    const told = await this.#requests.ask(member, request);
    return told.kind === 'answered' ? told.answer : undefined;
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
    return `v${this.#requests.next()}${padding}`;
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
    return answer !== undefined;
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
    const answer = await this.#ask(member, (node) =>
      node.put(namespace.name, key, value, given.context, this.options(level, given.session)),
    );
    if (!answer) return undefined;
    return { answer, vector: this.#onAcknowledged(namespace, keyIn(namespace, key), level, answer) };
  }

  async read(
    member: Member,
    namespace: SimulatedNamespace,
    key: string,
    level: Level,
    session?: string,
  ): Promise<ReadAnswer | undefined> {
    const answer = await this.#ask(member, async (node) => node.get(namespace.name, key, this.options(level, session)));
    if (!answer) return undefined;
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
    if (!done) return;
    // Told by the answer: a clock that was wrong where it was written makes for another expiry, which all then keep to.
    if (done.answer.expiresAtMs !== null) this.#expiries.set(body, done.answer.expiresAtMs);
    await this.#cluster.time.sleep(ttlSeconds * 1000 + this.#random.between(0, 2_000));
    const reader = this.#member();
    if (reader) await this.read(reader, namespace, key, 'eventual');
  }

  async #remove(member: Member, namespace: SimulatedNamespace, key: string, level: Level): Promise<void> {
    const answer = await this.#ask(member, (node) => node.delete(namespace.name, key, undefined, this.options(level)));
    if (answer?.existed) this.#onAcknowledged(namespace, keyIn(namespace, key), level, answer);
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
    const session = new SessionChecks(`s${at}`, this.#oracle.lostStores);
    return async () => {
      const member = this.#member();
      if (!member) return;
      if (this.#random.chance(0.2)) {
        await this.#sessionAtRegister(session, member);
        return;
      }
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
    if (!done) {
      session.refused();
      return;
    }
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
    if (!answer) {
      session.refused();
      return;
    }
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

  /** Registers carry what their writers had seen from session to session, without being records themselves. */
  async #sessionAtRegister(session: SessionChecks, member: Member): Promise<void> {
    const place = { namespace: this.#random.pick(STRONG_NAMESPACES), key: `session${this.#random.below(2)}` };
    if (this.#random.chance(0.5)) {
      const body = this.strong.newBody();
      this.#sessionsOfBodies.set(body, session.snapshot());
      const answer = await this.strong.sessionWrite(member, place, body, session.token);
      if (answer) session.token = answer.head.session;
      return;
    }
    const read = await this.strong.read(member, place, session.token);
    if (!read) return;
    session.token = read.answer.head.session;
    const writer = read.body === null ? undefined : this.#sessionsOfBodies.get(read.body);
    if (writer) session.readRegister(writer);
  }
}
