import { descends, EMPTY_VECTOR, join, type VersionVector } from '@meridian/core/causality/version-vector';
import type { StoreId } from '@meridian/core/ids';
import { InvariantBroken } from './invariant-broken.ts';

/** What a session must see from now on, key by key. */
export type MustSee = ReadonlyMap<string, VersionVector>;

const REFUSALS_MAX = 5;

/** The four session guarantees, kept by hand for one client (invariant 5). */
export class SessionChecks {
  readonly name: string;
  token: string | undefined;
  #mustSee = new Map<string, VersionVector>();
  #refusals = 0;
  readonly #lostStores: ReadonlySet<StoreId>;

  /** `lostStores`: what they had told went with their disks, as far as no other had it. No session can see that again. */
  constructor(name: string, lostStores: ReadonlySet<StoreId>) {
    this.name = name;
    this.#lostStores = lostStores;
  }

  /** The token names writes that went with a lost disk: no replica will ever cover it. The client begins anew. */
  refused(): void {
    this.#refusals += 1;
    if (this.#refusals < REFUSALS_MAX) return;
    this.#refusals = 0;
    this.token = undefined;
    this.#mustSee = new Map();
  }

  snapshot(): MustSee {
    return new Map(this.#mustSee);
  }

  #add(key: string, vector: VersionVector): void {
    this.#mustSee.set(key, join(this.#mustSee.get(key) ?? EMPTY_VECTOR, vector));
  }

  wrote(key: string, vector: VersionVector): void {
    this.#add(key, vector);
  }

  /** A value of a register tells of what its writer had seen of records; of itself it needs no vector. */
  readRegister(writer: MustSee): void {
    for (const [other, seen] of writer) this.#add(other, seen);
  }

  /** `writers`: what the sessions had seen that wrote the values read. */
  read(key: string, vector: VersionVector, writers: readonly MustSee[], where: string): void {
    const seen = this.#mustSee.get(key) ?? EMPTY_VECTOR;
    const wanted = new Map([...seen].filter(([store]) => !this.#lostStores.has(store)));
    if (!descends(vector, wanted)) {
      throw new InvariantBroken(
        5,
        `session ${this.name} read ${key} at ${where} and saw ${show(vector)}; it had seen ${show(wanted)} before`,
      );
    }
    this.#add(key, vector);
    for (const writer of writers) for (const [other, seen] of writer) this.#add(other, seen);
  }
}

function show(vector: VersionVector): string {
  return [...vector].map(([store, sequence]) => `${store}:${sequence}`).join(' ') || 'nothing';
}
