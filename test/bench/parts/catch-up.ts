import { setTimeout as sleep } from 'node:timers/promises';
import { type Figure, figure } from '../figure.ts';
import { HttpClient } from '../http-client.ts';
import { type Demo, type Region, startDemo } from '../servers.ts';
import { interleave, median } from '../statistics.ts';
import { keysHeld, Wan } from '../wan.ts';
import { VALUE, writeKeys } from '../workload.ts';
import type { Part, PartContext } from './part.ts';

const FROM: Region = 'us-east';
const STAYING: Region = 'eu-central';
const AWAY: Region = 'ap-northeast';
const TARGET_KEYS_PER_SECOND = 20_000;
const POLL_MS = 10;
const ARRIVE_MS_MAX = 60_000;
const SAMPLES = 200;

interface CatchUp {
  readonly keysPerSecond: number;
  /** From the heal to the first key that came. */
  readonly firstMs: number;
  readonly writtenPerSecond: number;
}

export const catchUpPart: Part = async (context) => {
  const demo = await startDemo(context.session, true);
  const http = new HttpClient(8);
  try {
    const run = new CatchUpRun(context, http, demo, await Wan.of(http, demo));
    const { delayed, direct } = await interleave(context.options.catchUpRounds, {
      delayed: () => run.measure(true),
      direct: () => run.measure(false),
    });
    const keys = context.options.catchUpKeys.toLocaleString('en');
    return [
      catchUpFigure(`catch-up of ${keys} keys, with the WAN's delay`, delayed),
      catchUpFigure(`catch-up of ${keys} keys, without delay`, direct),
    ];
  } finally {
    http.close();
    await demo.stop();
  }
};

function catchUpFigure(what: string, runs: readonly CatchUp[]): Figure {
  const firstMs = median(runs.map((run) => run.firstMs));
  const writtenPerSecond = median(runs.map((run) => run.writtenPerSecond));
  return figure({
    part: 'catch-up',
    what,
    unit: 'keys/s',
    measured: median(runs.map((run) => run.keysPerSecond)),
    beside: { what: 'wanted', value: TARGET_KEYS_PER_SECOND },
    target: { atLeast: 1 },
    note: `from the heal to the last key; the first came after ${firstMs.toFixed(0)} ms; they had been written at ${Math.round(writtenPerSecond)} keys/s`,
  });
}

/** A region is split off, distinct new keys are written elsewhere, the links are healed: how long until it holds all? */
class CatchUpRun {
  readonly #context: PartContext;
  readonly #http: HttpClient;
  readonly #demo: Demo;
  readonly #wan: Wan;
  #runs = 0;

  constructor(context: PartContext, http: HttpClient, demo: Demo, wan: Wan) {
    this.#context = context;
    this.#http = http;
    this.#demo = demo;
    this.#wan = wan;
  }

  async measure(isDelayed: boolean): Promise<CatchUp> {
    const { options, say } = this.#context;
    const { url } = this.#demo;
    const keys = options.catchUpKeys;
    const prefix = `catch-up-${this.#runs++}-`;
    say(`catch-up of ${keys} keys ${isDelayed ? 'with' : 'without'} the WAN's delay`);
    await this.#wan.delay(isDelayed);
    await this.#wan.splitOff(AWAY);
    const before = await keysHeld(this.#http, url[AWAY]);
    const writingMs = performance.now();
    await writeKeys(this.#http, url[FROM], prefix, keys);
    const writtenPerSecond = keys / ((performance.now() - writingMs) / 1_000);
    // The one that stayed must not be catching up as well while the other is measured.
    await this.#whenHeld(STAYING, await keysHeld(this.#http, url[FROM]));
    if ((await keysHeld(this.#http, url[AWAY])) > before) throw new Error('the split did not keep the keys away');
    const healedMs = performance.now();
    await this.#wan.heal();
    const firstMs = (await this.#whenHeld(AWAY, before + 1)) - healedMs;
    const lastMs = (await this.#whenHeld(AWAY, before + keys)) - healedMs;
    await this.#checkValues(prefix, keys);
    return { keysPerSecond: keys / (lastMs / 1_000), firstMs, writtenPerSecond };
  }

  /** @returns when a region was first seen to hold so many keys */
  async #whenHeld(region: Region, keys: number): Promise<number> {
    const deadlineMs = performance.now() + ARRIVE_MS_MAX;
    while ((await keysHeld(this.#http, this.#demo.url[region])) < keys) {
      if (performance.now() > deadlineMs) throw new Error(`${region} does not hold ${keys} keys after 60 s`);
      await sleep(POLL_MS);
    }
    return performance.now();
  }

  async #checkValues(prefix: string, keys: number): Promise<void> {
    for (let sample = 0; sample < SAMPLES; sample++) {
      const key = `${prefix}${Math.floor(((sample + 0.5) / SAMPLES) * keys)}`;
      const { value } = await this.#http.json<{ value: unknown }>('GET', `${this.#demo.url[AWAY]}/kv/${key}`);
      if (value !== VALUE) throw new Error(`${key} arrived with another value`);
    }
  }
}
