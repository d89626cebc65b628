import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Dot } from '@meridian/core/causality/dot';
import type { VersionVector } from '@meridian/core/causality/version-vector';
import { type RecordKey, recordKey } from '@meridian/core/ids';
import { deriveKey } from '@meridian/server/adapters/system/derive-key';
import { keyedSeal } from '@meridian/server/adapters/system/keyed-seal';
import { readSecret } from '@meridian/server/config/secret-file';
import { namespaceIdFor } from '@meridian/server/node/catalog';
import { Tokens } from '@meridian/server/node/tokens';
import { type Demo, REGIONS, type Region } from './demo.ts';
import { ask, type HttpTold, wasRefused } from './http.ts';

export type Outcome = 'acknowledged' | 'refused' | 'unknown';

/** A write that was tried, and what is known of it. */
export interface Try {
  readonly key: string;
  readonly region: Region;
  readonly level: string;
  /** Unique over all writes; `null` for a delete. */
  readonly value: string | null;
  outcome: Outcome;
  code?: string;
  /** The name of the write; of acknowledged ones that wrote something. */
  dot?: Dot;
  /** What it had seen and so supersedes; unknown of a blind write without an answer. */
  past?: VersionVector;
}

/** Codes that promise that nothing was written. */
const NOTHING_WRITTEN = new Set([
  'QUORUM_UNAVAILABLE',
  'REPLICA_UNAVAILABLE',
  'SESSION_NOT_COVERED',
  'KEY_NOT_FOUND',
  'SHUTTING_DOWN',
  'STORE_UNAVAILABLE',
  'KEY_EXISTS',
]);
const LEVELS = ['eventual', 'eventual', 'session', 'quorum'];
const CONTENDED_KEYS = 12;
const PAUSE_MS = 25;

/** Writers in every region: unique keys, contended keys with and without contexts, deletes, at all levels. */
export class Load {
  readonly tries: Try[] = [];
  readonly #demo: Demo;
  readonly #tokens: Tokens;
  readonly #writers: Promise<void>[] = [];
  #isOver = false;
  #count = 0;

  constructor(demo: Demo) {
    this.#demo = demo;
    this.#tokens = new Tokens(keyedSeal(deriveKey(readSecret(join(demo.dataDir, 'cluster.secret')).bytes, 'tokens')));
  }

  start(writersPerRegion: number): void {
    for (const region of REGIONS) {
      for (let writer = 0; writer < writersPerRegion; writer++) this.#writers.push(this.#run(region));
    }
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await Promise.all(this.#writers);
  }

  async #run(region: Region): Promise<void> {
    while (!this.#isOver) {
      await this.#step(region);
      await sleep(PAUSE_MS);
    }
  }

  async #step(region: Region): Promise<void> {
    const turn = this.#count++;
    const level = LEVELS[turn % LEVELS.length] as string;
    const contended = `contended:${turn % CONTENDED_KEYS}`;
    const value = `${region}-${turn}`;
    const kind = (turn >> 2) % 5;
    if (kind === 0) await this.put(region, `unique:${value}`, value, { level });
    else if (kind === 1) await this.put(region, `blind:${turn % CONTENDED_KEYS}`, value, { level });
    else if (kind === 2) {
      const key = `deleted:${value}`;
      const written = await this.put(region, key, value, { level });
      await this.put(region, key, null, { level, context: written.context });
    } else {
      const isDelete = kind === 4 && turn % 3 === 0;
      const seen = await this.#contextAt(region, contended);
      if (seen !== undefined) await this.put(region, contended, isDelete ? null : value, { level, context: seen });
    }
  }

  async #contextAt(region: Region, key: string): Promise<string | undefined> {
    const answer = await ask(this.#url(region, key, 'eventual')).catch(() => undefined);
    return answer?.headers.get('meridian-context') ?? undefined;
  }

  #url(region: Region, key: string, level: string): string {
    return `${this.#demo.urls[region]}/kv/${encodeURIComponent(key)}?consistency=${level}`;
  }

  /** One write, put down in the history. A session is not sent, so the token that comes back names this write alone. */
  async put(
    region: Region,
    key: string,
    value: string | null,
    { level, context }: { level: string; context?: string | undefined },
  ): Promise<{ tried: Try; context?: string; told?: HttpTold }> {
    const past = context === undefined ? undefined : this.#tokens.openContext(keyOf(key), context);
    const tried: Try = { key, region, level, value, outcome: 'unknown', ...(past ? { past } : {}) };
    this.tries.push(tried);
    try {
      const told = await ask(this.#url(region, key, level), {
        method: value === null ? 'DELETE' : 'PUT',
        headers: { 'meridian-context': context, 'meridian-receipt': '1' },
        ...(value === null ? {} : { body: { value } }),
      });
      this.#judge(tried, told);
      const after = told.headers.get('meridian-context');
      return { tried, told, ...(after === null ? {} : { context: after }) };
    } catch (error) {
      if (wasRefused(error)) tried.outcome = 'refused';
      return { tried };
    }
  }

  #judge(tried: Try, { status, headers, body }: HttpTold): void {
    if (status >= 400) {
      tried.code = String(body?.code);
      if (NOTHING_WRITTEN.has(tried.code)) tried.outcome = 'refused';
      return;
    }
    tried.outcome = 'acknowledged';
    const [dot, ...more] = this.#tokens.openSession(headers.get('meridian-session') ?? undefined);
    if (!dot || more.length > 0)
      throw new Error(`the session of one write names ${more.length + (dot ? 1 : 0)} writes`);
    tried.dot = { store: dot[0], sequence: dot[1] };
    if (tried.past) return;
    // A blind write has seen what its replica held: all of the record but the write itself.
    const after = new Map(this.#tokens.openContext(keyOf(tried.key), headers.get('meridian-context') ?? undefined));
    after.set(dot[0], (dot[1] - 1) as (typeof dot)[1]);
    tried.past = after;
  }
}

const DEFAULT_ID = namespaceIdFor('default', 1);

function keyOf(key: string): RecordKey {
  return recordKey(DEFAULT_ID, key);
}
