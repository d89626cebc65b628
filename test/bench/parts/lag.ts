import { setTimeout as sleep } from 'node:timers/promises';
import { type Figure, figure } from '../figure.ts';
import { HttpClient } from '../http-client.ts';
import { type Demo, type Region, startDemo } from '../servers.ts';
import { percentile } from '../statistics.ts';
import { Wan } from '../wan.ts';
import { ENVELOPE, KEYS, keyOf, VALUE } from '../workload.ts';
import type { Part, PartContext } from './part.ts';
import { fill } from './throughput.ts';

const FROM: Region = 'us-east';
const TO: Region = 'ap-northeast';
const WRITES_PER_SECOND = 2_000;
const TICK_MS = 5;
/** One write in so many goes to the probe's key: one every 10 ms. */
const PROBE_EVERY = 20;
const POLL_MS = 1;
const CONNECTIONS = 64;
/** What replication may add to the link's own delay. */
const ALLOWED_MS = 10;
/** After the last write, how long the probe may take to arrive. */
const SETTLE_MS = 5_000;

export const lagPart: Part = async (context) => {
  const demo = await startDemo(context.session, true);
  const http = new HttpClient(CONNECTIONS);
  try {
    await fill(demo.url[FROM]);
    const wan = await Wan.of(http, demo);
    const figures: Figure[] = [];
    for (const isDelayed of [true, false]) {
      await wan.delay(isDelayed);
      await sleep(1_000);
      figures.push(await lagFigure(context, http, demo, isDelayed ? wan.oneWayMs(FROM, TO) : 0));
    }
    return figures;
  } finally {
    http.close();
    await demo.stop();
  }
};

async function lagFigure(
  { options, say }: PartContext,
  http: HttpClient,
  demo: Demo,
  oneWayMs: number,
): Promise<Figure> {
  say(`lag under ${WRITES_PER_SECOND} writes/s over a link of ${oneWayMs} ms one way`);
  const run = new LagRun(http, demo, `lag-probe-${oneWayMs}`);
  const { fromAck, fromSend, writesPerSecond } = await run.measure(options.lagSeconds * 1_000);
  const [median, p99, sendMedian] = [percentile(fromAck, 0.5), percentile(fromAck, 0.99), percentile(fromSend, 0.5)];
  return figure({
    part: 'lag',
    what: `lag, median, link of ${oneWayMs.toFixed(1)} ms one way`,
    unit: 'ms',
    measured: median,
    beside: { what: `one way + ${ALLOWED_MS} ms`, value: oneWayMs + ALLOWED_MS },
    target: { atMost: 1 },
    note: `${fromAck.length} probes, 99th percentile ${p99.toFixed(1)} ms; from before the write is sent ${sendMedian.toFixed(1)} ms; ${Math.round(writesPerSecond)} writes/s were made`,
  });
}

interface Lags {
  readonly fromAck: readonly number[];
  readonly fromSend: readonly number[];
  readonly writesPerSecond: number;
}

/**
 * Paced writes in one region, among them numbered ones to one key; another region is asked for that key all the time. A
 * number counts as arrived when an answer there first shows it or a later one, so reading adds to the lag, by a read and
 * the pause before it. Both ends are timed by this process's clock.
 */
class LagRun {
  readonly #http: HttpClient;
  readonly #demo: Demo;
  readonly #probeKey: string;
  readonly #sentMs: number[] = [];
  readonly #ackedMs: number[] = [];
  readonly #seenMs: number[] = [];
  #failures = 0;
  #writes = 0;
  #isWriting = true;

  /** `probeKey` must not have been written before. */
  constructor(http: HttpClient, demo: Demo, probeKey: string) {
    this.#http = http;
    this.#demo = demo;
    this.#probeKey = probeKey;
  }

  async measure(forMs: number): Promise<Lags> {
    const watching = this.#watch();
    const tookMs = await this.#write(forMs);
    this.#isWriting = false;
    await watching;
    if (this.#failures > 0) throw new Error(`${this.#failures} of ${this.#writes} paced writes failed`);
    const since = (startMs: readonly number[]): number[] =>
      this.#seenMs.map((seenMs, at) => seenMs - (startMs[at] ?? Number.NaN));
    return {
      fromAck: since(this.#ackedMs),
      fromSend: since(this.#sentMs),
      writesPerSecond: this.#writes / (tookMs / 1_000),
    };
  }

  async #write(forMs: number): Promise<number> {
    const startedMs = performance.now();
    const pending = new Set<Promise<void>>();
    let elapsedMs = 0;
    while (elapsedMs < forMs) {
      const due = Math.floor((elapsedMs / 1_000) * WRITES_PER_SECOND);
      while (this.#writes < due) {
        const at = this.#writes++;
        const write = at % PROBE_EVERY === 0 ? this.#probe(at / PROBE_EVERY) : this.#put(keyOf(at % KEYS), ENVELOPE);
        pending.add(write);
        void write.then(() => pending.delete(write));
      }
      await sleep(TICK_MS);
      elapsedMs = performance.now() - startedMs;
    }
    await Promise.all(pending);
    return performance.now() - startedMs;
  }

  async #probe(number: number): Promise<void> {
    this.#sentMs[number] = performance.now();
    await this.#put(this.#probeKey, JSON.stringify({ value: { number, filling: VALUE } }));
    this.#ackedMs[number] = performance.now();
  }

  async #put(key: string, body: string): Promise<void> {
    const { status } = await this.#http.send('PUT', `${this.#demo.url[FROM]}/kv/${key}`, body);
    if (status >= 300) this.#failures++;
  }

  async #watch(): Promise<void> {
    const reader = new HttpClient(1);
    let deadlineMs = Number.POSITIVE_INFINITY;
    while (this.#isWriting || this.#seenMs.length < this.#sentMs.length) {
      if (!this.#isWriting) deadlineMs = Math.min(deadlineMs, performance.now() + SETTLE_MS);
      if (performance.now() > deadlineMs) throw new Error(`what was written did not arrive within ${SETTLE_MS} ms`);
      const { status, text } = await reader.send('GET', `${this.#demo.url[TO]}/kv/${this.#probeKey}`);
      const nowMs = performance.now();
      const number = status === 200 ? (JSON.parse(text) as { value: { number: number } }).value.number : -1;
      while (this.#seenMs.length <= number) this.#seenMs.push(nowMs);
      await sleep(POLL_MS);
    }
    reader.close();
  }
}
