import { type Figure, figure, type Target } from '../figure.ts';
import { HttpClient } from '../http-client.ts';
import type { Load, LoadResult } from '../load.ts';
import type { PartName } from '../options.ts';
import { processorSeconds } from '../processor-time.ts';
import { type Server, startBareRoute, startNode } from '../servers.ts';
import { interleave, median } from '../statistics.ts';
import { KEYS, writeKeys } from '../workload.ts';
import type { PartContext } from './part.ts';

/** Before anything counts, each side is loaded so long: the compiler has then seen what is hot. */
const WARM_UP_SECONDS = 1;

/** One side of a comparison: which servers, evenly, and how they are loaded. */
export interface Side extends Pick<Load, 'kind' | 'connections'> {
  readonly servers: readonly Pick<Server, 'url' | 'pid'>[];
}

export interface SideResult extends LoadResult {
  /** Processor time of the servers' processes, all their threads; `undefined` where the system does not tell. */
  readonly cpuMicrosPerRequest: number | undefined;
}

/** Loads all sides, interleaved. @returns results by side */
export async function loadSides<Name extends string>(
  context: PartContext,
  sides: Readonly<Record<Name, Side>>,
): Promise<Readonly<Record<Name, readonly SideResult[]>>> {
  const entries = Object.entries(sides) as [Name, Side][];
  for (const [, side] of entries) await loadSide(context, side, WARM_UP_SECONDS);
  const { rounds, loadSeconds } = context.options;
  const runs = entries.map(([name, side]) => [name, () => loadSide(context, side, loadSeconds)]);
  return interleave(rounds, Object.fromEntries(runs) as Record<Name, () => Promise<SideResult>>);
}

async function loadSide({ load }: PartContext, { servers, ...side }: Side, seconds: number): Promise<SideResult> {
  const processorTime = (): number => servers.reduce((sum, { pid }) => sum + (processorSeconds(pid) ?? Number.NaN), 0);
  const before = processorTime();
  const result = await load.run({ ...side, urls: servers.map(({ url }) => url), seconds });
  const micros = ((processorTime() - before) * 1e6) / (result.requestsPerSecond * seconds);
  return { ...result, cpuMicrosPerRequest: Number.isNaN(micros) ? undefined : micros };
}

/** A figure of requests a second, of the medians over the rounds. */
export function rateFigure(
  part: PartName,
  what: string,
  measured: readonly SideResult[],
  beside: { readonly what: string; readonly results: readonly SideResult[] },
  target: Target | undefined,
): Figure {
  const cpu = [measured, beside.results].map((results) =>
    median(results.map(({ cpuMicrosPerRequest }) => cpuMicrosPerRequest ?? Number.NaN)),
  );
  return figure({
    part,
    what,
    unit: 'requests/s',
    measured: rateOf(measured),
    beside: { what: beside.what, value: rateOf(beside.results) },
    target,
    ...(cpu.some(Number.isNaN) ? {} : { note: cpuNote(cpu, beside.what) }),
  });
}

/** Other work on the machine takes requests a second from a side, but hardly changes what a request costs it. */
function cpuNote([measured = 0, beside = 0]: readonly number[], what: string): string {
  const [own, others] = [measured, beside].map((micros) => micros.toFixed(0));
  return `processor time ${own} µs a request beside ${others} µs (${what}): ${(beside / measured).toFixed(2)} x`;
}

function rateOf(results: readonly LoadResult[]): number {
  return median(results.map(({ requestsPerSecond }) => requestsPerSecond));
}

/** One node that holds all keys, and a bare route that answers like it, for as long as `measure` takes. */
export async function besideBareRoute<Result>(
  { session }: PartContext,
  measure: (node: Server, bare: Server) => Promise<Result>,
): Promise<Result> {
  const node = await startNode(session);
  const bare = await startBareRoute(session, node);
  try {
    await fill(node.url);
    return await measure(node, bare);
  } finally {
    await Promise.all([node.stop(), bare.stop()]);
  }
}

export async function fill(url: string): Promise<void> {
  const http = new HttpClient(4);
  await writeKeys(http, url, 'key-', KEYS);
  http.close();
}
