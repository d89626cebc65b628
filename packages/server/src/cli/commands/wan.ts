import { resolve } from 'node:path';
import { MeridianUnreachableError } from '@meridian/client/errors';
import type { WanChange, WanStatus } from '@meridian/client/types';
import { readClusterFile } from '../../config/cluster-file.ts';
import { hint } from '../../config/nearest.ts';
import { SettingError } from '../../config/setting-error.ts';
import type { Dependencies } from '../dependencies.ts';
import { CommandFailure, EXIT, exitCodeOf, lineOf } from '../exit-codes.ts';
import { pad } from '../output/table.ts';
import { type ClientFlags, clientAt, endpointOf, printLine, styles } from '../session.ts';
import { wanLines } from './wan-lines.ts';

interface WanFlags extends ClientFlags {
  readonly cluster?: string;
}

interface KnownNode {
  readonly name: string;
  readonly region: string;
  readonly http: string;
}

interface Told {
  readonly node: KnownNode;
  readonly answer?: WanStatus;
  readonly error?: unknown;
}

export async function split(
  one: string,
  other: string | undefined,
  flags: WanFlags,
  dependencies: Dependencies,
): Promise<void> {
  const nodes = await nodesOf(flags, dependencies);
  const regions = regionsOf(nodes);
  const links = (other === undefined ? regions.filter((name) => name !== one) : [other]).map(
    (end) => [one, end] as const,
  );
  for (const region of [one, ...(other === undefined ? [] : [other])]) checkRegion(region, regions);
  if (one === other) throw new CommandFailure(EXIT.usage, 'a split is between two regions');
  const done = links.map(([from, to]) => `${from} ╳ ${to}`).join(', ');
  await tellAll(nodes, { split: links }, done, flags, dependencies);
}

export async function heal(flags: WanFlags, dependencies: Dependencies): Promise<void> {
  await tellAll(await nodesOf(flags, dependencies), { heal: true }, 'all links restored', flags, dependencies);
}

export async function rtt(
  one: string,
  other: string,
  ms: number,
  flags: WanFlags,
  dependencies: Dependencies,
): Promise<void> {
  const nodes = await nodesOf(flags, dependencies);
  for (const region of [one, other]) checkRegion(region, regionsOf(nodes));
  if (one === other) throw new CommandFailure(EXIT.usage, 'a link is between two regions');
  await tellAll(nodes, { rtt: { [`${one}|${other}`]: ms } }, `${one} ↔ ${other} ${ms} ms`, flags, dependencies);
}

export async function loss(share: number, flags: WanFlags, dependencies: Dependencies): Promise<void> {
  await tellAll(await nodesOf(flags, dependencies), { loss: share }, `loss ${share * 100}%`, flags, dependencies);
}

export async function wanStatus(flags: WanFlags, dependencies: Dependencies): Promise<void> {
  const told = await Promise.all(
    (await nodesOf(flags, dependencies)).map((node) => ask(node, undefined, flags, dependencies)),
  );
  if (flags.json) await printLine(dependencies.stdout, JSON.stringify(told.map(asJson)));
  else await printLinks(told, dependencies);
  failIfAny(told, 'answer');
}

async function printLinks(told: readonly Told[], dependencies: Dependencies): Promise<void> {
  const answered = told.flatMap(({ node, answer }) => (answer ? [{ node: node.name, links: answer }] : []));
  const { out } = styles(dependencies);
  if (answered.length > 0) await printLine(dependencies.stdout, wanLines(answered, told.length, out).join('\n'));
  await printTold(
    told.filter(({ error }) => error !== undefined),
    '',
    dependencies,
  );
}

async function tellAll(
  nodes: readonly KnownNode[],
  change: WanChange,
  done: string,
  flags: WanFlags,
  dependencies: Dependencies,
): Promise<void> {
  const told = await Promise.all(nodes.map((node) => ask(node, change, flags, dependencies)));
  if (flags.json) await printLine(dependencies.stdout, JSON.stringify(told.map(asJson)));
  else await printTold(told, done, dependencies);
  failIfAny(told);
}

async function printTold(told: readonly Told[], done: string, dependencies: Dependencies): Promise<void> {
  const { out } = styles(dependencies);
  const width = Math.max(...told.map(({ node }) => node.name.length));
  for (const { node, error } of told) {
    const mark = error === undefined ? out('green', '●') : out('red', '○');
    await printLine(
      dependencies.stdout,
      `${mark} ${pad(node.name, width)}  ${error === undefined ? done : lineOf(error)}`,
    );
  }
}

async function ask(
  node: KnownNode,
  change: WanChange | undefined,
  flags: WanFlags,
  dependencies: Dependencies,
): Promise<Told> {
  try {
    return { node, answer: await clientAt(`http://${node.http}`, flags, dependencies).wan(change) };
  } catch (error) {
    return { node, error };
  }
}

function asJson({ node, answer, error }: Told): object {
  return {
    node: node.name,
    region: node.region,
    ...(error === undefined ? { ok: true, answer } : { ok: false, error: lineOf(error) }),
  };
}

/** Unreachable only where all are: a link that one region did not hear of is a command half done. */
function failIfAny(told: readonly Told[], what = 'do it'): void {
  const failed = told.filter(({ error }) => error !== undefined);
  if (failed.length === 0) return;
  const areAllAway =
    failed.length === told.length && failed.every(({ error }) => error instanceof MeridianUnreachableError);
  const isAlike = failed.every(({ error }) => exitCodeOf(error) === exitCodeOf(failed[0]?.error));
  const code = areAllAway
    ? EXIT.unreachable
    : isAlike && failed.length === told.length
      ? exitCodeOf(failed[0]?.error)
      : EXIT.failed;
  throw new CommandFailure(code, `${failed.length} of ${told.length} nodes did not ${what}`);
}

async function nodesOf(flags: WanFlags, dependencies: Dependencies): Promise<readonly KnownNode[]> {
  const regions =
    flags.cluster === undefined
      ? await clientAt(endpointOf(flags, dependencies), flags, dependencies).regions()
      : readClusterFile(resolve(dependencies.folder, flags.cluster)).regions;
  return regions.flatMap((region) => region.nodes.map(({ name, http }) => ({ name, region: region.name, http })));
}

function regionsOf(nodes: readonly KnownNode[]): string[] {
  return [...new Set(nodes.map((node) => node.region))];
}

function checkRegion(region: string, known: readonly string[]): void {
  if (known.includes(region)) return;
  throw new SettingError(region, `there is no such region${hint(region, known) || `; there are ${known.join(', ')}`}`);
}
