import { parseArgs } from 'node:util';
import type { Mix } from './mix.ts';
import { MIXES } from './mixes.ts';
import { isShapeName, SHAPES, type ShapeName } from './shapes.ts';

export interface Options {
  readonly mixes: readonly Mix[];
  readonly shape: ShapeName;
  readonly regions: number;
  readonly seconds: number;
  readonly seed: number;
  /** Where histories are kept. */
  readonly keep: string;
  readonly clients: number;
  readonly requestsPerSecond: number;
  readonly isRehearsal: boolean;
}

const PAD = 16;

export const HELP = `Runs regions in processes of their own, breaks them in every way while clients work, and checks what the clients saw.

  node test/chaos/main.ts                          all mixes of faults, 60 s each, 3 regions
  node test/chaos/main.ts --mix kill --mix ring    some of them
  node test/chaos/main.ts --regions 5 --seconds 300 --seed 17
  node test/chaos/main.ts --shape mixed            regions that stand on different engines, see below
  node test/chaos/main.ts --keep FOLDER            where the histories go (a folder of .meridian/chaos where absent)
  node test/chaos/main.ts --clients 20 --rate 200  how many work at once, and requests a second of all together
  node test/chaos/main.ts --rehearse               at level quorum and with no condition sent: the checks must find that

${MIXES.map(({ name, description, needsDatabases }) => `  ${name.padEnd(PAD)} ${description}${needsDatabases ? ' (mixed)' : ''}`).join('\n')}

Shapes:

${Object.entries(SHAPES)
  .map(([name, description]) => `  ${name.padEnd(PAD)} ${description}`)
  .join('\n')}

Exit code 0: nothing was violated. 1: something was, or could not be decided. 2: wrong usage.`;

/** @returns `undefined` where help is asked for. @throws Error, one line, for what it does not understand */
export function readOptions(args: readonly string[]): Options | undefined {
  const { values } = parseArgs({
    args: [...args],
    options: {
      mix: { type: 'string', multiple: true, default: ['all'] },
      shape: { type: 'string', default: 'embedded' },
      regions: { type: 'string', default: '3' },
      seconds: { type: 'string', default: '60' },
      seed: { type: 'string', default: '1' },
      keep: { type: 'string' },
      clients: { type: 'string', default: '20' },
      rate: { type: 'string', default: '200' },
      rehearse: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) return undefined;
  const { shape } = values;
  if (!isShapeName(shape)) throw new Error(`--shape: ${Object.keys(SHAPES).join(' or ')} is expected`);
  const seed = whole('--seed', values.seed, 0, 2 ** 32 - 1);
  const regions = whole('--regions', values.regions, 3, 5);
  if (regions === 4) throw new Error('--regions: 3 or 5 is expected');
  return {
    mixes: values.mix.includes('all') ? mixesFor(shape) : values.mix.map((name) => mixOf(name, shape)),
    shape,
    regions,
    seconds: whole('--seconds', values.seconds, 1, 3_600),
    seed,
    keep: values.keep ?? `.meridian/chaos/seed-${seed}`,
    clients: whole('--clients', values.clients, 5, 100),
    requestsPerSecond: whole('--rate', values.rate, 1, 2_000),
    isRehearsal: values.rehearse,
  };
}

function mixesFor(shape: ShapeName): readonly Mix[] {
  return MIXES.filter(({ needsDatabases }) => shape === 'mixed' || !needsDatabases);
}

function mixOf(name: string, shape: ShapeName): Mix {
  const mix = MIXES.find((one) => one.name === name);
  if (mix?.needsDatabases && shape !== 'mixed') throw new Error(`--mix ${name}: it needs --shape mixed`);
  if (mix) return mix;
  throw new Error(`--mix: there is no mix '${name}'; there are all, ${MIXES.map((one) => one.name).join(', ')}`);
}

function whole(flag: string, text: string, low: number, high: number): number {
  const number = Number(text);
  if (Number.isInteger(number) && number >= low && number <= high) return number;
  throw new Error(`${flag}: a whole number from ${low} to ${high} is expected`);
}
