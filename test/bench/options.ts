import { parseArgs } from 'node:util';

export const PARTS = ['get', 'put', 'regions', 'strong', 'rounds', 'lag', 'catch-up', 'memory', 'postgres'] as const;
export type PartName = (typeof PARTS)[number];

export interface Options {
  readonly parts: readonly PartName[];
  /** How often each side is measured; the median counts. */
  readonly rounds: number;
  /** How long each side is loaded in each round. */
  readonly loadSeconds: number;
  readonly lagSeconds: number;
  readonly catchUpKeys: number;
  readonly catchUpRounds: number;
  readonly backlogKeys: number;
  readonly isJson: boolean;
}

export const HELP = `Measures Meridian beside a bare Fastify route, beside etcd and pgbench where they are installed, on this machine, and prints ratios.

  npm run bench                    everything, under 8 minutes
  npm run bench -- --quick         everything, coarser, under 3 minutes
  npm run bench -- --only put      one part, or several: --only get --only put
                                   (${PARTS.join(', ')})
  npm run bench -- --rounds 9      more rounds (odd numbers have a true median)
  npm run bench -- --json          the figures as JSON on stdout

docs/reference/benchmarks.md tells how each figure is measured.`;

const ROUNDS_MAX = 15;
const FULL = {
  rounds: 3,
  loadSeconds: 2,
  lagSeconds: 10,
  catchUpKeys: 100_000,
  catchUpRounds: 2,
  backlogKeys: 200_000,
};
const QUICK = { rounds: 2, loadSeconds: 1, lagSeconds: 2, catchUpKeys: 30_000, catchUpRounds: 1, backlogKeys: 40_000 };

/** @returns `undefined` where help is asked for. @throws Error, one line, for what it does not understand */
export function readOptions(args: readonly string[]): Options | undefined {
  const { values } = parseArgs({
    args: [...args],
    options: {
      quick: { type: 'boolean', default: false },
      only: { type: 'string', multiple: true, default: [] },
      rounds: { type: 'string' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) return undefined;
  const size = values.quick ? QUICK : FULL;
  const rounds = values.rounds === undefined ? size.rounds : Number(values.rounds);
  if (!Number.isInteger(rounds) || rounds < 1 || rounds > ROUNDS_MAX) {
    throw new Error(`--rounds: a whole number from 1 to ${ROUNDS_MAX} is expected`);
  }
  return { ...size, rounds, parts: partsOf(values.only), isJson: values.json };
}

function partsOf(names: readonly string[]): readonly PartName[] {
  const unknown = names.find((name) => !PARTS.some((part) => part === name));
  if (unknown !== undefined) throw new Error(`--only: there is no part '${unknown}'; there are ${PARTS.join(', ')}`);
  return names.length === 0 ? PARTS : PARTS.filter((part) => names.includes(part));
}
