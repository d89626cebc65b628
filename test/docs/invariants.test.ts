import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { PLANTED } from '../simulation/planted.ts';

const page = readFileSync(new URL('../../docs/reference/invariants.md', import.meta.url), 'utf8');

describe('docs/reference/invariants.md', () => {
  it('lists the planted bugs, and within how many seeds each is found', () => {
    const rows = [...page.matchAll(/^\| `([a-z-]+)` \| (\d+) \| .+ \|$/gm)].map(([, name, seeds]) => [
      name,
      Number(seeds),
    ]);
    expect(Object.fromEntries(rows)).toEqual(
      Object.fromEntries(Object.entries(PLANTED).map(([name, { seedsMax }]) => [name, seedsMax])),
    );
  });

  it('numbers the invariants from 1 on', () => {
    const numbers = [...page.matchAll(/^\| (\d+) \| /gm)].map(([, number]) => Number(number));
    expect(numbers).toEqual(Array.from({ length: 12 }, (_none, at) => at + 1));
  });
});
