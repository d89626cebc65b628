import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { PLANTED } from '../simulation/planted.ts';

const read = (page: string): string => readFileSync(new URL(`../../docs/reference/${page}`, import.meta.url), 'utf8');
const page = read('invariants.md');

describe('docs/reference/planted-bugs.md', () => {
  it('lists the planted bugs, and within how many seeds each is found', () => {
    const rows = [...read('planted-bugs.md').matchAll(/^\| `([a-z-]+)` \| (\d+) \| .+ \|$/gm)].map(
      ([, name, seeds]) => [name, Number(seeds)],
    );
    expect(Object.fromEntries(rows)).toEqual(
      Object.fromEntries(Object.entries(PLANTED).map(([name, { seedsMax }]) => [name, seedsMax])),
    );
  });
});

describe('docs/reference/invariants.md', () => {
  it('numbers the invariants from 1 on', () => {
    const numbers = [...page.matchAll(/^\| (\d+) \| /gm)].map(([, number]) => Number(number));
    expect(numbers).toEqual(Array.from({ length: 12 }, (_none, at) => at + 1));
  });
});
