import type { RecordKey, Sequence, StoreId } from '@meridian/core/ids';
import {
  type Cache,
  CacheFailedError,
  type CacheFill,
  type CacheLook,
  type CacheOutcome,
  type CacheWrite,
} from '../../ports/cache.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Random } from '../../ports/random.ts';
import { decodeLook, encodeEntry, encodeLease } from './entry-codec.ts';
import { RedisConnection, type RedisServers } from './redis-connection.ts';
import { LOOK, PUT, type Script, WRITTEN } from './scripts.ts';

/** Of the values' form, in the name of each key: nodes of two versions do not read one another's. */
const FORM = '1';
/** A reader that was held up for longer between its look and its fill fills nothing. */
const LEASE_MS = 10_000;
const TOKEN_LENGTH = 10;
const OUTCOMES: Readonly<Record<string, CacheOutcome>> = { K: 'kept', Y: 'younger', A: 'absent', D: 'dropped' };

export interface RedisCacheOptions extends RedisServers {
  /** How long an entry lives. */
  readonly ttlMs: number;
  /** Before each key's name. */
  readonly prefix: string;
  readonly clock: Clock;
  readonly random: Random;
}

type Argument = string | Buffer;

interface Put {
  readonly place: string;
  readonly how: string;
  readonly value: Buffer;
}

/** The cache port on Redis 6.2 and newer. Each key is read and changed by itself, so a Redis Cluster serves as well. */
export class RedisCache implements Cache {
  readonly #connection: RedisConnection;
  readonly #isCluster: boolean;
  readonly #ttlMs: number;
  readonly #prefix: string;
  /** Leases of this process, told apart from those of all others. */
  readonly #tokenBase: string;
  #tokens = 0;

  /** Connects in the background: a cache that is away keeps nobody from starting. */
  constructor(options: RedisCacheOptions) {
    this.#connection = new RedisConnection(options, options.clock);
    this.#isCluster = options.isCluster;
    this.#ttlMs = options.ttlMs;
    this.#prefix = options.prefix;
    this.#tokenBase = options.random.id(TOKEN_LENGTH);
  }

  async look(store: StoreId, reached: Sequence, keys: readonly RecordKey[]): Promise<readonly CacheLook[]> {
    const lease = encodeLease(reached, `${this.#tokenBase}.${(this.#tokens++).toString(36)}`);
    const places = keys.map((key) => this.#place(store, key));
    const values = await this.#each(LOOK, places, () => [String(LEASE_MS), lease]);
    if (values.every((value) => value instanceof CacheFailedError) && values[0]) throw values[0];
    return keys.map((key, at) => {
      const value = values[at];
      return value instanceof Buffer ? decodeLook(key, value) : {};
    });
  }

  async fill(store: StoreId, fills: readonly CacheFill[]): Promise<readonly CacheOutcome[]> {
    return this.#put(
      fills.map(({ key, entry, lease }) => ({
        place: this.#place(store, key),
        how: lease ?? '',
        value: encodeEntry(store, key, entry),
      })),
    );
  }

  async write(store: StoreId, writes: readonly CacheWrite[]): Promise<readonly CacheOutcome[]> {
    const puts: Put[] = [];
    const drops: string[] = [];
    for (const { key, entry } of writes) {
      const place = this.#place(store, key);
      if (entry) puts.push({ place, how: WRITTEN, value: encodeEntry(store, key, entry) });
      else drops.push(place);
    }
    const [kept] = await Promise.all([this.#put(puts), this.#drop(drops)]);
    const outcomes = kept.values();
    return writes.map(({ entry }) => (entry ? (outcomes.next().value ?? 'absent') : 'dropped'));
  }

  async probe(): Promise<void> {
    this.#connection.replaceIfStalled();
    await this.#run(LOOK, [`${this.#prefix}${FORM}:probe`], [String(LEASE_MS), 'probe']);
  }

  async close(): Promise<void> {
    this.#connection.close();
  }

  async #put(puts: readonly Put[]): Promise<readonly CacheOutcome[]> {
    if (puts.length === 0) return [];
    const places = puts.map(({ place }) => place);
    const ttl = String(this.#ttlMs);
    const letters = await this.#each(PUT, places, (from, to) => {
      const some = from === 0 && to === puts.length ? puts : puts.slice(from, to);
      // In one piece: the client would hand each to the socket by itself.
      const values = Buffer.concat(some.map(({ value }) => value));
      return [ttl, values, ...some.flatMap(({ how, value }) => [how, String(value.length)])];
    });
    return letters.map((letter) => {
      if (letter instanceof CacheFailedError) throw letter;
      return OUTCOMES[String(letter)] ?? 'absent';
    });
  }

  async #drop(places: readonly string[]): Promise<void> {
    if (places.length === 0) return;
    if (this.#isCluster) await Promise.all(places.map((place) => this.#connection.send(place, ['UNLINK', place])));
    else await this.#connection.send(places[0], ['UNLINK', ...places]);
  }

  /** One answer, or failure, for each place; keys of a cluster's different servers cannot go together. */
  async #each(
    script: Script,
    places: readonly string[],
    parametersOf: (from: number, to: number) => readonly Argument[],
  ): Promise<readonly unknown[]> {
    if (!this.#isCluster) return await this.#run(script, places, parametersOf(0, places.length));
    const answers = places.map(async (place, at) => (await this.#run(script, [place], parametersOf(at, at + 1)))[0]);
    const settled = await Promise.allSettled(answers);
    return settled.map((one) => (one.status === 'fulfilled' ? one.value : one.reason));
  }

  async #run(script: Script, places: readonly string[], parameters: readonly Argument[]): Promise<readonly unknown[]> {
    const rest = [String(places.length), ...places, ...parameters];
    let answer: unknown;
    try {
      answer = await this.#connection.send(places[0], ['EVALSHA', script.sha, ...rest]);
    } catch (error) {
      if (!(error instanceof CacheFailedError) || error.message !== 'NOSCRIPT') throw error;
      answer = await this.#connection.send(places[0], ['EVAL', script.source, ...rest]);
    }
    if (!Array.isArray(answer) || answer.length !== places.length)
      throw new CacheFailedError('an answer of another form');
    return answer;
  }

  #place(store: StoreId, key: RecordKey): string {
    return `${this.#prefix}${FORM}:${store}:${key}`;
  }
}
