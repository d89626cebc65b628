import { dotText, parseDot } from '../causality/dot.ts';
import { covers, EMPTY_VECTOR, type VersionVector } from '../causality/version-vector.ts';
import { type NamespaceId, plainKeyOf, type RecordKey, recordKey, type Sequence, type StoreId } from '../ids.ts';
import { type Batch, type Follow, ModelStore, type Rule, type Rules } from './stream-model.testing.ts';

const STEPS = 200;
/** Few keys, so that they are written over and over. */
const KEYS = ['x', 'y'].map((key) => recordKey('model.1' as NamespaceId, key));
const ROWS_MAX = 3;
const HEAL_ROUNDS = 6;

export interface RunOptions {
  readonly without?: Rule;
  /** Whether stores are lost, and others with new ids take their places. */
  readonly wipes?: boolean;
}

export interface RunOutcome {
  readonly faults: readonly string[];
  /** What happened, a line each, for whoever looks for the reason. */
  readonly story: readonly string[];
  readonly collected: number;
  readonly gaps: number;
}

type Content =
  | { readonly kind: 'follow'; readonly follow: Follow }
  | { readonly kind: 'batch'; readonly batch: Batch }
  | { readonly kind: 'applied'; readonly applied: Sequence }
  | { readonly kind: 'record'; readonly key: RecordKey; readonly bytes: Uint8Array }
  | { readonly kind: 'told'; readonly claims: VersionVector };
type Message = Content & { readonly from: StoreId; readonly to: StoreId };

interface Write {
  readonly key: RecordKey;
  readonly store: StoreId;
  readonly name: string;
  readonly isDelete: boolean;
  /** The names of the writes of this key that it had seen: causality by enumeration. */
  readonly past: ReadonlySet<string>;
}

/** A seeded random source in [0, 1) (mulberry32). */
export function randomSource(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

/** Three stores, two keys, a network that delays, reorders, repeats and loses; then all heals, and the end is looked at. */
export function runStreams(seed: number, options: RunOptions = {}): RunOutcome {
  const run = new Run(seed, options);
  run.live();
  run.heal();
  return { faults: run.faults(), story: run.story, collected: run.collected, gaps: run.gaps };
}

class Run {
  readonly story: string[] = [];
  collected = 0;
  gaps = 0;
  readonly #random: () => number;
  readonly #without: Rules;
  readonly #wipes: boolean;
  readonly #stores: ModelStore[] = [];
  readonly #network: Message[] = [];
  readonly #writes: Write[] = [];
  readonly #lost = new Set<StoreId>();
  /** Survivors of a lost store that have still to compare what they hold of it. */
  readonly #repairs: ReadonlySet<StoreId>[] = [];
  readonly #contexts: { readonly key: RecordKey; readonly vector: VersionVector }[] = [];
  #made = 0;

  constructor(seed: number, options: RunOptions) {
    this.#random = randomSource(seed);
    this.#without = new Set(options.without ? [options.without] : []);
    this.#wipes = options.wipes ?? false;
    for (let at = 0; at < 3; at++) this.#stores.push(this.#newStore(at, true));
  }

  #newStore(at: number, isFilled: boolean): ModelStore {
    this.#made += 1;
    return new ModelStore(`s${at}.${this.#made}` as StoreId, isFilled, this.#without);
  }

  #pick<Item>(list: readonly Item[]): Item {
    return list[Math.floor(this.#random() * list.length)] as Item;
  }

  live(): void {
    for (let step = 1; step <= STEPS; step++) {
      if (step % 25 === 0 && this.#random() < 0.7) this.#quietTime();
      const store = this.#pick(this.#stores);
      this.#step(this.#random(), store, this.#pick(this.#stores), this.#pick(KEYS));
    }
    // Later writes would hide what a new store never got.
    if (this.#wipes && this.#random() < 0.5) this.#wipe(this.#pick(this.#stores));
  }

  #step(chance: number, store: ModelStore, other: ModelStore, key: RecordKey): void {
    if (chance < 0.2) this.#write(store, key, undefined);
    else if (chance < 0.28) this.#writeWithContext(store);
    else if (chance < 0.36) this.#read(store, key);
    else if (chance < 0.76) this.#exchange(chance, store, other, key);
    else if (chance < 0.86) this.#deliverOne();
    else if (chance < 0.9) this.#loseOne();
    else if (chance < 0.94) this.#collect(store);
    else if (chance < 0.95) this.#repairOnce();
    else if (chance < 0.96 && this.#wipes) this.#wipe(store);
    else this.#deliverOne();
  }

  #exchange(chance: number, store: ModelStore, other: ModelStore, key: RecordKey): void {
    if (store === other) return;
    if (chance < 0.42) this.#send(store, other, { kind: 'follow', follow: store.follow(other.id) });
    else if (chance < 0.56) this.#sendBatch(store, other);
    else if (chance < 0.62) this.#sendRecord(store, other, key);
    else if (chance < 0.67) this.#send(store, other, { kind: 'told', claims: store.claims() });
    else this.#deliverOne();
  }

  #tell(line: string): void {
    this.story.push(line);
  }

  #write(store: ModelStore, key: RecordKey, given: VersionVector | undefined): void {
    const isDelete = this.#random() < 0.35;
    const seen = given ?? store.record(key)?.vector ?? EMPTY_VECTOR;
    const past = new Set(
      this.#writes.filter((write) => write.key === key && isCovered(seen, write.name)).map(({ name }) => name),
    );
    const name = store.write(key, isDelete, given);
    this.#writes.push({ key, store: store.id, name, isDelete, past });
    this.#tell(`${isDelete ? 'delete' : 'put'} ${name} over ${[...past].join(' ') || 'nothing'}`);
  }

  #writeWithContext(store: ModelStore): void {
    const context = this.#contexts.length > 0 ? this.#pick(this.#contexts) : undefined;
    if (context) this.#write(store, context.key, context.vector);
  }

  #read(store: ModelStore, key: RecordKey): void {
    const record = store.record(key);
    if (record) this.#contexts.push({ key, vector: record.vector });
  }

  #send(from: ModelStore, to: ModelStore, content: Content): void {
    this.#network.push({ ...content, from: from.id, to: to.id });
  }

  #sendBatch(origin: ModelStore, to: ModelStore): void {
    const batch = origin.nextBatch(to.id, 1 + Math.floor(this.#random() * ROWS_MAX));
    if (batch) this.#send(origin, to, { kind: 'batch', batch });
  }

  #sendRecord(from: ModelStore, to: ModelStore, key: RecordKey): void {
    const row = from.rows.get(key);
    if (row) this.#send(from, to, { kind: 'record', key, bytes: row.bytes });
  }

  #deliverOne(): void {
    if (this.#network.length === 0) return;
    const at = Math.floor(this.#random() * this.#network.length);
    const message = this.#network[at] as Message;
    // What stays is delivered again.
    if (this.#random() < 0.8) this.#network.splice(at, 1);
    this.#deliver(message);
  }

  #loseOne(): void {
    if (this.#network.length > 0) this.#network.splice(Math.floor(this.#random() * this.#network.length), 1);
  }

  #deliver(message: Message): void {
    const store = this.#stores.find(({ id }) => id === message.to);
    if (!store) return;
    if (message.kind === 'follow') store.onFollow(message.from, message.follow);
    else if (message.kind === 'applied') store.onApplied(message.from, message.applied);
    else if (message.kind === 'told') store.hear(message.from, message.claims);
    else if (message.kind === 'record') store.merge(message.key, message.bytes);
    else this.#deliverBatch(store, message.from, message.batch);
    if (message.kind === 'record')
      this.#tell(`record ${plainKeyOf(message.key)} from ${message.from} reaches ${store.id}`);
  }

  #deliverBatch(store: ModelStore, from: StoreId, batch: Batch): void {
    const joins = store.onBatch(from, batch);
    if (!joins) this.gaps += 1;
    this.#tell(
      `batch ${batch.from}..${batch.upTo}${batch.isWhole ? ' whole' : ''} (${batch.rows.length}) of ${from} ${joins ? 'joins' : 'leaves a gap'} at ${store.id}`,
    );
    store.checkFilled(this.#idsOfOthers(store));
    const origin = this.#stores.find(({ id }) => id === from);
    if (joins && origin) this.#send(store, origin, { kind: 'applied', applied: store.position(from).applied });
  }

  #idsOfOthers(store: ModelStore): readonly StoreId[] {
    return this.#stores.filter((other) => other !== store).map(({ id }) => id);
  }

  #collect(store: ModelStore): void {
    const collected = store.collect(this.#stores.map(({ id }) => id));
    this.collected += collected;
    if (collected > 0) this.#tell(`${store.id} collects ${collected}`);
  }

  /** The disk is gone with all that only it held. The others refuse what still comes from it. */
  #wipe(store: ModelStore): void {
    const at = this.#stores.indexOf(store);
    this.#lost.add(store.id);
    this.#repairs.push(new Set(this.#idsOfOthers(store)));
    this.#stores[at] = this.#newStore(at, false);
    const left = this.#network.filter(({ from, to }) => from !== store.id && to !== store.id);
    this.#network.splice(0, this.#network.length, ...left);
    this.#tell(`${store.id} is lost, ${this.#stores[at]?.id} takes its place`);
  }

  #repairOnce(): void {
    const ids = this.#repairs.shift();
    const among = ids ? this.#stores.filter(({ id }) => ids.has(id)) : [];
    for (const [from, to] of pairs(among)) {
      for (const [key, { bytes }] of [...from.rows]) to.merge(key, bytes);
    }
    if (ids) this.#tell(`repair among ${among.map(({ id }) => id).join(' ')}`);
  }

  /** What was delayed stays delayed, and one store may be cut off; the others come to know all of each other. */
  #quietTime(): void {
    const cutOff = this.#random() < 0.3 ? this.#pick(this.#stores) : undefined;
    const among = this.#stores.filter((store) => store !== cutOff);
    for (let round = 0; round < 2; round++) this.#catchUp(among);
    for (const store of among) this.#collect(store);
  }

  #catchUp(among: readonly ModelStore[]): void {
    for (const [origin, receiver] of pairs(among)) this.#stream(origin, receiver);
    for (const [from, to] of pairs(among)) to.hear(from.id, from.claims());
  }

  /** The receiver asks, and gets batch after batch until there is no more. Merging moves rows: but never for ever. */
  #stream(origin: ModelStore, receiver: ModelStore): void {
    const follow = receiver.follow(origin.id);
    if (follow.applied >= origin.sequence && !follow.isFill) return;
    origin.onFollow(receiver.id, follow);
    for (;;) {
      const batch = origin.nextBatch(receiver.id, 1 + Math.floor(this.#random() * ROWS_MAX));
      if (!batch) return;
      this.#deliverBatch(receiver, origin.id, batch);
    }
  }

  heal(): void {
    for (let round = 0; round < HEAL_ROUNDS; round++) {
      for (let left = 10 * this.#network.length; left > 0 && this.#network.length > 0; left--) this.#deliverOne();
      this.#network.length = 0;
      while (this.#repairs.length > 0) this.#repairOnce();
      this.#catchUp(this.#stores);
      if (round > HEAL_ROUNDS / 2) for (const store of this.#stores) this.#collect(store);
    }
  }

  faults(): readonly string[] {
    return KEYS.flatMap((key) => this.#faultsOf(key));
  }

  #faultsOf(key: RecordKey): readonly string[] {
    const views = this.#stores.map((store) =>
      (store.record(key)?.siblings ?? []).filter(({ body }) => body !== null).map(({ dot }) => dotText(dot)),
    );
    const texts = views.map((view) => view.join(' '));
    const faults = new Set(texts).size > 1 ? [`diverged: ${texts.join(' | ')}`] : [];
    const alive = new Set(views[0]);
    const writes = this.#writes.filter((write) => write.key === key);
    const pastOf = (kept: readonly Write[]) => new Set(kept.flatMap(({ past }) => [...past]));
    // What only a lost store knew to be superseded may live, and what it may have superseded may be gone.
    const surelySuperseded = pastOf(writes.filter(({ store }) => !this.#lost.has(store)));
    const superseded = pastOf(writes);
    for (const { name, store, isDelete } of writes) {
      if (alive.has(name) && surelySuperseded.has(name)) faults.push(`revived: ${name}`);
      if (!alive.has(name) && !isDelete && !superseded.has(name) && !this.#lost.has(store))
        faults.push(`lost: ${name}`);
    }
    return faults;
  }
}

function isCovered(vector: VersionVector, name: string): boolean {
  const dot = parseDot(name);
  return dot !== undefined && covers(vector, dot);
}

function pairs(stores: readonly ModelStore[]): readonly (readonly [ModelStore, ModelStore])[] {
  return stores.flatMap((from) => stores.filter((to) => to !== from).map((to) => [from, to] as const));
}
