import { type Figure, figure } from '../figure.ts';
import { HttpClient } from '../http-client.ts';
import { type Demo, REGIONS, type Region, startDemo } from '../servers.ts';
import { median } from '../statistics.ts';
import { Wan } from '../wan.ts';
import { STRONG_NAMESPACE, VALUE } from '../workload.ts';
import type { Part, PartContext } from './part.ts';

/** What one region's operations may take beyond the round trips that the protocol needs. */
const TARGET = { atMost: 1.1 };
const SAMPLES_PER_ROUND = 8;

/**
 * Strong operations under the demo's delays, region by region: measured beside what the protocol must take, which is one
 * round trip to the nearest majority, or two for the first write of a key.
 */
export const roundsPart: Part = async (context) => {
  const demo = await startDemo(context.session, true);
  const http = new HttpClient(1);
  try {
    const wan = await Wan.of(http, demo);
    await http.json('PUT', `${demo.url[REGIONS[0]]}/namespaces/${STRONG_NAMESPACE}`, { mode: 'strong' });
    const figures: Figure[] = [];
    for (const region of REGIONS) {
      context.say(`strong operations in ${region}`);
      figures.push(...(await regionFigures(context, http, demo, wan, region)));
    }
    return figures;
  } finally {
    http.close();
    await demo.stop();
  }
};

async function regionFigures(
  { options }: PartContext,
  http: HttpClient,
  demo: Demo,
  wan: Wan,
  region: Region,
): Promise<readonly Figure[]> {
  const samples = options.rounds * SAMPLES_PER_ROUND;
  const keyUrl = (key: string): string => `${demo.url[region]}/namespaces/${STRONG_NAMESPACE}/kv/${region}-${key}`;
  const put = (key: string) => () => http.json('PUT', keyUrl(key), { value: VALUE });
  const roundTripMs = nearestMs(wan, region);
  await put('warm-up')();
  const first = await timesMs(samples, (at) => put(`first-${at}`)());
  const again = await timesMs(samples, put('warm-up'));
  const read = await timesMs(samples, () => http.json('GET', keyUrl('warm-up')));
  const line = (what: string, measured: readonly number[], rounds: number): Figure =>
    figure({
      part: 'rounds',
      what: `${region}: ${what}`,
      unit: 'ms',
      measured: median(measured),
      beside: { what: rounds === 1 ? 'one round trip' : `${rounds} round trips`, value: roundTripMs * rounds },
      target: TARGET,
    });
  return [line('strong read', read, 1), line('write again', again, 1), line('first write', first, 2)];
}

/** Of three regions the nearest other one makes the majority. */
function nearestMs(wan: Wan, region: Region): number {
  return Math.min(...REGIONS.filter((other) => other !== region).map((other) => 2 * wan.oneWayMs(region, other)));
}

async function timesMs(count: number, work: (at: number) => Promise<unknown>): Promise<readonly number[]> {
  const times: number[] = [];
  for (let at = 0; at < count; at++) {
    const startMs = performance.now();
    await work(at);
    times.push(performance.now() - startMs);
  }
  return times;
}
