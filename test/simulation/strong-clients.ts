import type { RecordKey } from '@meridian/core/ids';
import type { Level, PutValue, ReadAnswer, WriteAnswer } from '@meridian/server/node/service';
import type { Clocks } from './clocks.ts';
import type { Member } from './member.ts';
import type { RegisterOracle } from './register-oracle.ts';
import type { Requests, Told } from './requests.ts';
import type { SeededRandom } from './seeded-random.ts';
import type { SimulatedCluster } from './simulated-cluster.ts';
import { isObservationCode, type StrongHistory, type Underway } from './strong-history.ts';
import { keyIn, NAMESPACES, type SimulatedNamespace, STRONG_NAMESPACES } from './targets.ts';

const KEYS = 3;
const ATTEMPTS_MAX = 3;
const IDEMPOTENT_SHARE = 0.4;
const HASTY_SHARE = 0.12;
const HASTY_MS_MAX = 200;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

interface Place {
  readonly namespace: SimulatedNamespace;
  readonly key: string;
}

/** What a client has read: what the next change may depend on. */
interface Read {
  readonly body: string | null;
  readonly tag: string;
  readonly context: string;
}

interface Change {
  readonly f: 'write' | 'create' | 'cas' | 'delete' | 'cas-delete';
  /** Of the history: what goes in. */
  readonly input: unknown;
  /** `undefined` deletes. */
  readonly body: string | undefined;
  readonly ifMatch?: string;
  readonly ifNoneMatch?: string;
  readonly context?: string;
  readonly ttlSeconds?: number;
}

/**
 * Clients of registers: of namespaces of mode strong, and of keys of eventual namespaces that are touched at level `strong`
 * only. Each operation is taken down in a history; what an answer tells of a register is held against what was chosen.
 */
export class StrongClients {
  readonly #cluster: SimulatedCluster;
  readonly #random: SeededRandom;
  readonly #requests: Requests;
  readonly #oracle: RegisterOracle;
  readonly #history: StrongHistory;
  readonly #clocks: Clocks;
  readonly counts = { acknowledged: 0, reads: 0, repeats: 0 };
  /** Nothing is tried again any more. */
  isOver = false;

  constructor(
    cluster: SimulatedCluster,
    random: SeededRandom,
    requests: Requests,
    oracle: RegisterOracle,
    history: StrongHistory,
    clocks: Clocks,
  ) {
    this.#cluster = cluster;
    this.#random = random;
    this.#requests = requests;
    this.#oracle = oracle;
    this.#history = history;
    this.#clocks = clocks;
  }

  #member(): Member {
    return this.#random.pick(this.#cluster.members);
  }

  async step(): Promise<void> {
    const kind = this.#random.share();
    if (kind < 0.25) await this.#levelStep(this.#random.pick(NAMESPACES), `strong${this.#random.below(2)}`);
    else if (kind < 0.4) await this.#ownStep();
    else if (kind < 0.5) await this.#expiringStep();
    else
      await this.#registerStep({
        namespace: this.#random.pick(STRONG_NAMESPACES),
        key: `r${this.#random.below(KEYS)}`,
      });
  }

  /** One of those that all want the same register, of the one kind or the other. */
  contend(isLevel: boolean): Promise<void> {
    if (isLevel) return this.#levelStep(NAMESPACES[0] as SimulatedNamespace, 'strong-hot', false);
    return this.#registerStep({ namespace: STRONG_NAMESPACES[0] as SimulatedNamespace, key: 'hot' });
  }

  /** A register that one node alone changes: in one round, with a ballot that was promised to it before. */
  async #ownStep(): Promise<void> {
    const writer = this.#member();
    const place = { namespace: STRONG_NAMESPACES[0] as SimulatedNamespace, key: `of-${writer.name}` };
    await this.write(writer, place);
    if (this.#random.chance(0.3)) await this.read(this.#member(), place);
  }

  async #registerStep(place: Place): Promise<void> {
    const kind = this.#random.share();
    const member = this.#member();
    if (kind < 0.2) await this.read(member, place);
    else if (kind < 0.35) await this.#relaxedRead(member, place);
    else if (kind < 0.55) await this.write(member, place);
    else if (kind < 0.65) await this.#change(member, place, { f: 'delete', input: null, body: undefined });
    else if (kind < 0.72) await this.#create(member, place);
    else await this.#compareAndSet(member, place);
  }

  /**
   * Registers of Attiya, Bar-Noy and Dolev: keys of an eventual namespace that are touched at level strong only. What a delete
   * may leave there is much: only a register without deletes is held to one order strictly.
   */
  async #levelStep(namespace: SimulatedNamespace, key: string, hasDeletes = true): Promise<void> {
    const place = { namespace, key };
    const kind = this.#random.share();
    const member = this.#member();
    if (kind < 0.6) await this.read(member, place);
    else if (kind < 0.85) await this.write(member, place);
    else if (kind < 0.95 && hasDeletes)
      await this.#change(member, place, { f: 'delete', input: null, body: undefined });
    else await this.#create(member, place);
  }

  async #expiringStep(): Promise<void> {
    const place = { namespace: this.#random.pick(STRONG_NAMESPACES), key: 'ttl' };
    const kind = this.#random.share();
    if (kind < 0.4) {
      const ttlSeconds = 1 + this.#random.below(3);
      const body = this.newBody();
      await this.#change(this.#member(), place, { f: 'write', input: body, body, ttlSeconds });
    } else if (kind < 0.6) await this.read(this.#member(), place);
    else if (kind < 0.8) await this.#relaxedRead(this.#member(), place);
    else await this.#create(this.#member(), place);
  }

  newBody(): string {
    return `s${this.#requests.next()}`;
  }

  write(member: Member, place: Place): Promise<WriteAnswer | undefined> {
    const body = this.newBody();
    return this.#change(member, place, { f: 'write', input: body, body });
  }

  async #create(member: Member, place: Place): Promise<void> {
    const body = this.newBody();
    const isStrong = place.namespace.mode === 'strong' && this.#random.chance(0.5);
    await this.#change(member, place, { f: 'create', input: body, body, ...(isStrong ? { ifNoneMatch: '*' } : {}) });
  }

  async #compareAndSet(member: Member, place: Place): Promise<void> {
    const read = await this.read(member, place);
    if (!read) return;
    await this.#cluster.time.sleep(this.#random.between(0, 100));
    const writer = this.#random.chance(0.5) ? member : this.#member();
    if (read.body === null) {
      await this.#create(writer, place);
      return;
    }
    const condition = this.#random.chance(0.7) ? { ifMatch: `"${read.tag}"` } : { context: read.context };
    if (this.#random.chance(0.2)) {
      await this.#change(writer, place, { f: 'cas-delete', input: read.body, body: undefined, ...condition });
      return;
    }
    const body = this.newBody();
    await this.#change(writer, place, { f: 'cas', input: [read.body, body], body, ...condition });
  }

  /** A read that must see all that was told of before it began. */
  async read(
    member: Member,
    place: Place,
    session?: string,
  ): Promise<(Read & { readonly answer: ReadAnswer }) | undefined> {
    const { namespace, key } = place;
    const level: Level = namespace.mode === 'strong' && session !== undefined ? 'session' : 'strong';
    const startedAtMs = this.#cluster.time.nowMs;
    const underway = this.#begin('read', place, null, member);
    const told = await this.#requests.ask(member, async (node) =>
      node.get(namespace.name, key, this.#requests.options(level, session)),
    );
    const seen = this.#onRead(told, underway, place, member, startedAtMs);
    return seen && told.kind === 'answered' ? { ...seen, answer: told.answer } : undefined;
  }

  /** What the nearest replica knows to be chosen. */
  async #relaxedRead(member: Member, place: Place): Promise<void> {
    const { namespace, key } = place;
    const underway = this.#begin('relaxed-read', place, null, member);
    const startedAtMs = this.#cluster.time.nowMs;
    const told = await this.#requests.ask(member, async (node) =>
      node.get(namespace.name, key, this.#requests.options('eventual')),
    );
    this.#onRead(told, underway, place, member, startedAtMs);
  }

  #begin(f: 'read' | 'relaxed-read', place: Place, value: unknown, member: Member): Underway {
    return this.#history.begin({ f, key: nameOf(place), value, at: member.name });
  }

  #onRead(
    told: Told<ReadAnswer>,
    underway: Underway,
    place: Place,
    member: Member,
    startedAtMs: number,
  ): Read | undefined {
    if (told.kind !== 'answered') {
      underway.failed('UNANSWERED');
      return undefined;
    }
    this.counts.reads += 1;
    const { values, head } = told.answer;
    const body = values[0] ? decoder.decode(values[0].body) : null;
    const isRegister = place.namespace.mode === 'strong';
    underway.ok(body, isRegister ? head.etag : undefined);
    if (isRegister) {
      this.#oracle.checkShown(this.#keyOf(place), versionOf(head.etag), body ?? undefined, `a read at ${member.name}`);
      const expiresAtMs = values[0]?.expiresAtMs ?? null;
      if (expiresAtMs !== null) this.#clocks.checkVisible(nameOf(place), expiresAtMs, startedAtMs);
    }
    return { body, tag: head.etag, context: head.context };
  }

  #keyOf({ namespace, key }: Place): RecordKey {
    return keyIn(namespace, key);
  }

  /**
   * One change. With an idempotency key it is tried again at other nodes where nobody knows what became of it: it is one
   * operation then, which takes effect once or not at all.
   */
  async #change(member: Member, place: Place, change: Change, session?: string): Promise<WriteAnswer | undefined> {
    const { namespace } = place;
    const isIdempotent = namespace.mode === 'strong' && this.#random.chance(IDEMPOTENT_SHARE);
    const idempotencyKey = isIdempotent ? `i${this.#requests.next()}` : undefined;
    const first = this.#beginChange(place, change, member);
    for (let attempt = 1; ; attempt++) {
      const where = attempt === 1 ? member : this.#member();
      // A refusal of a repeat says what holds now; the first try may take effect yet.
      const again = attempt === 1 ? undefined : this.#beginChange(place, { ...change, ttlSeconds: 0 }, where);
      const told = await this.#send(where, place, change, idempotencyKey, session);
      if (told.kind === 'answered' && isDone(change, told.answer)) {
        again?.failed('REPEATED');
        this.#onAcknowledged(first, place, change, told.answer, where);
        return told.answer;
      }
      const code = told.kind === 'answered' ? 'KEY_NOT_FOUND' : told.kind === 'refused' ? told.code : undefined;
      if (attempt === 1 && code !== undefined && isObservationCode(code)) {
        first.failed(code);
        return undefined;
      }
      again?.failed(code !== undefined && isObservationCode(code) ? code : 'REPEATED');
      const isOver = !isIdempotent || attempt === ATTEMPTS_MAX || this.isOver;
      if (isOver && attempt === 1 && code !== undefined) first.failed(code);
      else if (isOver) first.unknown();
      if (isOver) return undefined;
      this.counts.repeats += 1;
      await this.#cluster.time.sleep(this.#random.between(1, 600));
    }
  }

  #beginChange(place: Place, { f, input, ttlSeconds }: Change, member: Member): Underway {
    const expires = (ttlSeconds ?? 0) > 0;
    if (place.namespace.mode === 'eventual' && (f === 'delete' || f === 'create'))
      return this.#history.beginBlind({ key: nameOf(place), value: input, at: member.name });
    const value = f === 'cas-delete' || f === 'cas' || f === 'write' || f === 'create' ? input : null;
    return this.#history.begin({ f, key: nameOf(place), value, at: member.name, expires });
  }

  #send(
    member: Member,
    { namespace, key }: Place,
    { f, body, ifMatch, ifNoneMatch, context, ttlSeconds }: Change,
    idempotencyKey: string | undefined,
    session: string | undefined,
  ): Promise<Told<WriteAnswer>> {
    const hasConditions = ifMatch !== undefined || ifNoneMatch !== undefined || idempotencyKey !== undefined;
    const conditions = hasConditions ? { ifMatch, ifNoneMatch, idempotencyKey } : undefined;
    // Some have so little time that they end somewhere between their rounds, and leave what they had begun.
    const isHasty = this.#random.chance(this.isOver ? 0 : HASTY_SHARE);
    const timeoutMs = isHasty ? this.#random.between(1, HASTY_MS_MAX) : undefined;
    const options = this.#requests.options('strong', session, conditions, timeoutMs);
    const value: PutValue = { body: encoder.encode(body ?? ''), contentType: 'text/plain', ttlSeconds };
    return this.#requests.ask(member, (node) => {
      if (body === undefined) return node.delete(namespace.name, key, context, options);
      if (f === 'create' && ifNoneMatch === undefined) return node.create(namespace.name, key, value, options);
      return node.put(namespace.name, key, value, context, options);
    });
  }

  #onAcknowledged(underway: Underway, place: Place, { f, body }: Change, answer: WriteAnswer, member: Member): void {
    this.counts.acknowledged += 1;
    const isRegister = place.namespace.mode === 'strong';
    underway.ok(null, isRegister ? answer.head.etag : undefined);
    if (isRegister)
      this.#oracle.checkAcknowledged(this.#keyOf(place), versionOf(answer.head.etag), body, `a ${f} at ${member.name}`);
  }

  /** A write of a session, whose token the register keeps with it. */
  sessionWrite(
    member: Member,
    place: Place,
    body: string,
    session: string | undefined,
  ): Promise<WriteAnswer | undefined> {
    return this.#change(member, place, { f: 'write', input: body, body }, session);
  }
}

/** A delete of nothing has done nothing. */
function isDone({ body }: Change, answer: WriteAnswer): boolean {
  return body !== undefined || answer.existed;
}

function nameOf({ namespace, key }: Place): string {
  return `${namespace.name}/${key}`;
}

function versionOf(tag: string): number {
  return Number(/^v(\d+)\./.exec(tag)?.[1] ?? 0);
}
