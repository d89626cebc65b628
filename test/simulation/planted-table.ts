import { writeFile } from 'node:fs/promises';
import { PLANTED, type Planted } from './planted.ts';
import { runSeed } from './run.ts';

const PAGE = new URL('../../docs/reference/planted-bugs.md', import.meta.url);

interface Found {
  readonly name: string;
  readonly count: number;
  readonly of: number;
  readonly first: number | undefined;
  readonly invariants: ReadonlySet<number>;
}

/** Runs every planted bug in seeds 1 to `seeds`, and writes docs/reference/planted-bugs.md. */
export async function writeTable(seeds: number, tell: (line: string) => void): Promise<void> {
  const rows: Found[] = [];
  for (const name of Object.keys(PLANTED)) {
    const row = await find(name, seeds);
    rows.push(row);
    tell(`${name}: ${row.count} of ${row.of}, first in ${row.first ?? 'none'}`);
  }
  await writeFile(PAGE, page(rows, seeds));
}

async function find(name: string, seeds: number): Promise<Found> {
  const { bugs, step, seedsMax } = PLANTED[name] as Planted;
  const invariants = new Set<number>();
  let count = 0;
  let tried = 0;
  let first: number | undefined;
  // One that is not found by then is looked for as long as it may take.
  for (let seed = step; tried < seeds || (first === undefined && seed <= seedsMax); seed += step) {
    tried += 1;
    const { failure } = await runSeed(seed, bugs);
    if (!failure) continue;
    count += 1;
    first ??= seed;
    invariants.add(failure.invariant);
  }
  return { name, count, of: tried, first, invariants };
}

function page(rows: readonly Found[], seeds: number): string {
  const lines = rows.map(({ name, count, of, first, invariants }) => {
    const { rule, seedsMax } = PLANTED[name] as Planted;
    const broken = [...invariants].sort((left, right) => left - right).join(', ');
    return `| \`${name}\` | ${seedsMax} | ${rule} | ${count} of ${of} | ${first ?? ''} | ${broken} |`;
  });
  return `# Planted bugs

A check that cannot fail shows nothing. Each of these bugs breaks one rule, in a line or two that only the simulator can reach (\`bugs.has\` in \`packages/server/src/node\`, \`test/simulation/planted.ts\`), and the simulator must find it within the number of seeds in the second column, from seed 1 on. \`test/simulation/planted.test.ts\` holds it to that.

This page is made by \`npm run sim -- --table ${seeds}\`, which runs each of them in ${seeds} seeds, and one that is not found by then until it is. (The one that shows only where disks are lost is tried in every seventh seed.) The last column has the [invariants](invariants.md) that were seen broken first. \`npm run sim -- --bug NAME\` shows one with its story.

| bug | seeds | the rule that it breaks | found in | first seed | invariants |
| --- | --- | --- | --- | --- | --- |
${lines.join('\n')}
`;
}
