import { dotText } from '@meridian/core/causality/dot';
import { isLive, type Sibling, type VersionedRecord } from '@meridian/core/causality/record';
import { covers, EMPTY_VECTOR, type VersionVector } from '@meridian/core/causality/version-vector';
import type { RegisterState } from '@meridian/core/coordination/paxos/register';
import { namespaceIdOf, type RecordKey, type StoreId, storeNameOf } from '@meridian/core/ids';
import { decodeRecord as decode } from '@meridian/core/wire/record-codec';
import { isRegisterBytes } from '@meridian/core/wire/register-codec';
import { CATALOG_NAMESPACE } from '@meridian/server/node/catalog';
import type { Store } from '@meridian/server/ports/store';
import { InvariantBroken } from './invariant-broken.ts';
import { isWhole, type Member } from './member.ts';
import { RegisterOracle } from './register-oracle.ts';
import type { SimulatedCluster } from './simulated-cluster.ts';
import { SimulatedServer } from './simulated-database.ts';
import type { StoreWatcher } from './watched-store.ts';

/** One write as the oracle knows it, named by its dot. */
interface KnownWrite {
  readonly key: RecordKey;
  readonly dot: Sibling['dot'];
  readonly name: string;
  readonly isDelete: boolean;
  readonly body: string;
  /** All writes that this one was made in knowledge of, and theirs. */
  readonly past: ReadonlySet<string>;
}

const decoder = new TextDecoder();
const textOf = (body: Uint8Array | null): string => (body === null ? '' : decoder.decode(body));

/**
 * A dumb oracle beside the clever code: it keeps every write with the explicit set of writes it was made in knowledge of, and
 * asks no vector. Numbers of invariants are those of docs/reliability (docs/reference/invariants.md).
 */
export class Oracle implements StoreWatcher {
  readonly registers = new RegisterOracle();
  /** Those whose disks were wiped. */
  readonly lostStores = new Set<StoreId>();
  /** What it witnesses it witnesses inside the nodes, which must not be the ones to deal with what is broken. */
  onBroken: (error: unknown) => void = () => undefined;
  readonly #byName = new Map<string, KnownWrite>();
  /** By name, key and body: where a commit failed, its dots may be given to other writes, of which one set at most is durable. */
  readonly #decided = new Map<string, KnownWrite>();
  readonly #byBody = new Map<string, KnownWrite>();
  readonly #bodyOfDot = new Map<string, string>();
  readonly #acknowledged = new Map<string, KnownWrite>();
  /** Those that were on one disk alone when it was lost: an acknowledgement of one may be under way yet. */
  readonly #goneWithDisk = new Set<string>();
  /** What the write under way at a key was given: `undefined` for a blind one. Set by the client for its very next decision. */
  readonly #contexts = new Map<string, readonly string[] | undefined>();

  /** A client is about to write this body: made in knowledge of the writes named, or blind. */
  announce(key: RecordKey, body: string, seen: readonly string[] | undefined): void {
    this.#contexts.set(`${key}|${body}`, seen);
  }

  onDecision(member: Member, key: RecordKey, before: VersionedRecord | undefined, after: VersionedRecord): void {
    if (namespaceIdOf(key) === CATALOG_NAMESPACE) return;
    for (const sibling of after.siblings) {
      const isOwnAndNew =
        sibling.dot.store === member.process?.store.id &&
        !before?.siblings.some((other) => dotText(other.dot) === dotText(sibling.dot));
      if (!isOwnAndNew) continue;
      const name = dotText(sibling.dot);
      const body = textOf(sibling.body);
      const announced = this.#contexts.get(`${key}|${body}`);
      // What a blind write, or a delete, overwrites is what its replica held.
      const direct = announced ?? (before?.siblings ?? []).map(({ dot }) => dotText(dot));
      const past = new Set<string>();
      for (const seen of direct) {
        past.add(seen);
        for (const earlier of this.#byName.get(seen)?.past ?? []) past.add(earlier);
      }
      const write = { key, dot: sibling.dot, name, isDelete: sibling.body === null, body, past };
      this.#byName.set(name, write);
      this.#decided.set(`${name}|${key}|${body}`, write);
      this.#byBody.set(`${key}|${body}`, write);
    }
  }

  #guarded(check: () => void): void {
    try {
      check();
    } catch (error) {
      this.onBroken(error);
    }
  }

  onDurable(_member: Member, key: RecordKey, record: VersionedRecord): void {
    this.#guarded(() => this.#witness(key, record));
  }

  #witness(key: RecordKey, record: VersionedRecord): void {
    if (namespaceIdOf(key) === CATALOG_NAMESPACE) return;
    const bodies = new Set<string>();
    for (const sibling of record.siblings) {
      // Clients write each body once.
      const text = sibling.body === null ? undefined : textOf(sibling.body);
      if (text !== undefined && bodies.has(text))
        throw new InvariantBroken(7, `${text} of ${key} stands beside itself: one write was made twice`);
      if (text !== undefined) bodies.add(text);
      const name = dotText(sibling.dot);
      const body = `${key}|${textOf(sibling.body)}`;
      const known = this.#bodyOfDot.get(name);
      if (known !== undefined && known !== body)
        throw new InvariantBroken(6, `dot ${name} was issued twice: for ${known} and for ${body}`);
      this.#bodyOfDot.set(name, body);
      const write = this.#decided.get(`${name}|${body}`);
      if (write) this.#byName.set(name, write);
    }
  }

  onRegisterDurable(member: Member, key: RecordKey, state: RegisterState): void {
    this.#guarded(() => this.registers.onDurable(member, key, state));
  }

  writesOf(key: RecordKey): readonly KnownWrite[] {
    return [...this.#byName.values()].filter((write) => write.key === key);
  }

  acknowledge(name: string): void {
    const write = this.#byName.get(name);
    if (!write) throw new InvariantBroken(8, `a write was acknowledged that no store decided: ${name}`);
    if (!this.#goneWithDisk.has(name)) this.#acknowledged.set(name, write);
  }

  get acknowledgedCount(): number {
    return this.#acknowledged.size;
  }

  /** What was durable on this disk alone goes with it: that is what the level promises, and no more. */
  onWipe(lost: Member, holdersOf: (key: RecordKey) => readonly Member[]): void {
    if (lost.process) for (const id of idsOf(lost.process.store)) this.lostStores.add(id);
    this.registers.onLost(lost);
    for (const [name, { key, dot }] of this.#byName) {
      const isOn = ({ disk }: Member) => disk.durableRecord(key) !== undefined && covers(vectorOf(disk, key), dot);
      if (holdersOf(key).some((holder) => holder.disk !== lost.disk && isOn(holder))) continue;
      this.#acknowledged.delete(name);
      // Told of as durable, or about to be: the word that a database has taken it may be under way.
      if (this.#bodyOfDot.has(name) || isOn(lost)) this.#goneWithDisk.add(name);
    }
  }

  /** Invariant 8: at this moment, how many of the holders would still have the write after a crash. */
  checkDurable(name: string, holders: readonly Member[], required: number): void {
    const write = this.#byName.get(name);
    if (!write || (required === 1 && this.#goneWithDisk.has(name))) return;
    const durable = holders.filter(({ disk }) =>
      covers(disk.durableRecord(write.key) ? vectorOf(disk, write.key) : EMPTY_VECTOR, write.dot),
    );
    // One that was lost may have had it when it said so.
    const lost =
      this.lostStores.size === 0 ? 0 : holders.filter((holder) => !durable.includes(holder) && !isWhole(holder)).length;
    if (durable.length + lost < required) {
      throw new InvariantBroken(
        8,
        `${name} was told of as durable on ${required}, and is on ${durable.length} of ${holders.map(({ name: node }) => node).join(', ')}`,
      );
    }
  }

  /** Invariant 8, for readers: what one of them sees is durable somewhere. */
  checkSeen(key: RecordKey, body: string, holders: readonly Member[]): void {
    const write = this.#byBody.get(`${key}|${body}`);
    if (write) this.checkDurable(write.name, holders, 1);
  }

  /** Nothing leaves a store before it is durable there: of what is shipped, the origin's own writes survive its crash. */
  checkShipped(origin: Member, key: RecordKey, bytes: Uint8Array): void {
    // What is shipped of a register was chosen: it is durable on a majority, the origin not always among them.
    if (isRegisterBytes(bytes)) return;
    // It was durable when it was read; that a standby has taken over since, which lacks it, is found out by those who have it.
    if (origin.disk instanceof SimulatedServer && origin.disk.hasLostUnnoticed) return;
    const held = origin.disk.durableRecord(key);
    const durable = held ? decode(held).vector : EMPTY_VECTOR;
    const own = origin.process?.store.id;
    for (const { dot } of decode(bytes).siblings) {
      if (dot.store !== own || covers(durable, dot)) continue;
      throw new InvariantBroken(8, `${origin.name} sent ${dotText(dot)} of ${key} before it was durable there`);
    }
  }

  /** Invariants 1, 6, 7 and 12, of a cluster that is quiet. */
  checkQuiet(
    cluster: SimulatedCluster,
    holdersOf: (key: RecordKey) => readonly Member[],
    wallMs: number,
    isLww: (key: RecordKey) => boolean,
  ): void {
    const keys = new Set([...this.#byName.values()].map(({ key }) => key));
    for (const key of keys) this.#checkKey(key, holdersOf(key), wallMs, isLww(key));
    for (const member of cluster.members) {
      for (const key of member.disk.durableKeys()) {
        if (
          namespaceIdOf(key) !== CATALOG_NAMESPACE &&
          !holdersOf(key).some(({ storeName }) => storeName === member.storeName)
        ) {
          throw new InvariantBroken(12, `${member.name} holds ${key}, which is not placed there`);
        }
      }
    }
  }

  /** Invariant 2, of a cluster that is quiet: where replicas of a key do not hold the same. */
  difference(holdersOf: (key: RecordKey) => readonly Member[]): string | undefined {
    for (const key of new Set([...this.#byName.values()].map((write) => write.key))) {
      const holders = holdersOf(key);
      const first = holders[0]?.disk.durableRecord(key);
      if (holders.every(({ disk }) => isSameBytes(first, disk.durableRecord(key)))) continue;
      return `${key} differs: ${holders.map((holder) => `${holder.name}: ${describe(holder, key)}`).join(' | ')}`;
    }
    return undefined;
  }

  #checkKey(key: RecordKey, holders: readonly Member[], wallMs: number, isLww: boolean): void {
    const first = holders[0]?.disk.durableRecord(key);
    const siblings = first ? recordOf(holders[0] as Member, key).siblings : [];
    const alive = new Set(siblings.map(({ dot }) => dotText(dot)));
    const past = new Set<string>();
    for (const write of this.#byName.values()) {
      if (
        write.key !== key ||
        !(this.#acknowledged.has(write.name) || alive.has(write.name) || this.#bodyOfDot.has(write.name))
      )
        continue;
      for (const name of write.past) past.add(name);
    }
    for (const write of this.#acknowledged.values()) {
      if (write.key === key && !alive.has(write.name) && !past.has(write.name)) {
        throw new InvariantBroken(
          1,
          `acknowledged ${write.isDelete ? 'delete' : 'put'} ${write.name} of ${key} is lost; alive: ${[...alive].join(' ')}`,
        );
      }
    }
    for (const sibling of siblings) {
      const name = dotText(sibling.dot);
      const superseding = [...this.#acknowledged.values()].find((write) => write.key === key && write.past.has(name));
      if (!superseding) continue;
      const isBack = isLive(sibling, wallMs) && superseding.isDelete;
      throw new InvariantBroken(
        isBack ? 6 : 7,
        `${name} of ${key} is alive beside ${superseding.name}, which was written in knowledge of it${isLww ? ' (lww)' : ''}`,
      );
    }
  }
}

/** Those it had before are among its positions. */
function idsOf({ id, positions }: Store): readonly StoreId[] {
  return [id, ...positions.keys()].filter((other) => storeNameOf(other) === storeNameOf(id));
}

function recordOf(member: Member, key: RecordKey): VersionedRecord {
  return decode(member.disk.durableRecord(key) as Uint8Array);
}

function vectorOf(disk: Member['disk'], key: RecordKey): VersionVector {
  return decode(disk.durableRecord(key) as Uint8Array).vector;
}

function describe(member: Member, key: RecordKey): string {
  const bytes = member.disk.durableRecord(key);
  if (!bytes) return 'none';
  const { siblings, vector } = decode(bytes);
  return `${siblings.map(({ dot }) => dotText(dot)).join(' ')} under ${[...vector].map(([store, sequence]) => `${store}:${sequence}`).join(' ')}`;
}

function isSameBytes(left: Uint8Array | undefined, right: Uint8Array | undefined): boolean {
  if (!left || !right) return left === right;
  return left.length === right.length && left.every((byte, at) => byte === right[at]);
}
