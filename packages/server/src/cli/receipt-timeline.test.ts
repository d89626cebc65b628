import { stripVTControlCharacters, styleText } from 'node:util';
import type { Hop, Receipt } from '@meridian/client/types';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { widthOf } from './output/table.ts';
import { timelineLines } from './receipt-timeline.ts';

const plain = (_look: unknown, text: string) => text;
const hop = (region: string, round: number, atMs: number, ms: number): Hop => ({
  node: `${region}-1`,
  region,
  round,
  atMs,
  ms,
});
const receipt = (of: Partial<Receipt>): Receipt => ({
  region: 'us-east',
  node: 'us-east-1',
  store: 's',
  level: 'strong',
  replicasAsked: 3,
  replicasAnswered: 3,
  rounds: 1,
  hops: [],
  tookMs: 200,
  stalenessMs: 0,
  ...of,
});

describe('the timeline of a receipt', () => {
  const twoRounds = receipt({
    rounds: 2,
    hops: [hop('ap-northeast', 1, 0, 170), hop('eu-central', 2, 100, 100), hop('eu-central', 1, 0, 100)],
  });

  it('has a line for each answer, by round, on one scale', () => {
    expect(timelineLines(twoRounds, 73, plain)).toEqual([
      'strong at us-east-1 in us-east',
      'round 1  eu-central-1    eu-central    ━━━━━━━━━━━━━               100 ms',
      '         ap-northeast-1  ap-northeast  ━━━━━━━━━━━━━━━━━━━━━━      170 ms',
      'round 2  eu-central-1    eu-central                 ━━━━━━━━━━━━━  100 ms',
      '2 rounds · 3 of 3 replicas answered · 200 ms in all',
    ]);
  });

  it('says the same in colour', () => {
    const coloured = timelineLines(twoRounds, 73, (look, text) => styleText(look, text, { validateStream: false }));
    expect(coloured.join('')).toContain('\u001b[');
    expect(coloured.map(stripVTControlCharacters)).toEqual(timelineLines(twoRounds, 73, plain));
  });

  it('cuts long names rather than bars on a narrow terminal', () => {
    expect(timelineLines(twoRounds, 48, plain)).toEqual([
      'strong at us-east-1 in us-east',
      'round 1  eu-centr…  eu-central  ━━━━      100 ms',
      '         ap-north…  ap-northe…  ━━━━━━━   170 ms',
      'round 2  eu-centr…  eu-central      ━━━━  100 ms',
      '2 rounds · 3 of 3 replicas answered',
      '200 ms in all',
    ]);
  });

  it('fits whatever the names and times are, from 44 columns on', () => {
    const region = fc.constantFrom('us-east', 'x', 'a-region-with-quite-a-name-of-sixty-three-characters-all-in-all');
    const ms = fc.double({ min: 0, max: 30_000, noNaN: true });
    const anyHop = fc.tuple(region, fc.integer({ min: 1, max: 9 }), ms, ms).map((of) => hop(...of));
    fc.assert(
      fc.property(
        fc.array(anyHop, { minLength: 1, maxLength: 9 }),
        fc.integer({ min: 44, max: 200 }),
        (hops, columns) => {
          const lines = timelineLines(receipt({ hops, tookMs: 0 }), columns, plain);
          const drawn = lines.slice(1, hops.length + 1);
          expect(new Set(drawn.map((line) => widthOf(line))).size).toBe(1);
          for (const line of drawn) {
            expect(widthOf(line)).toBeLessThanOrEqual(columns);
            expect(line).toContain('━');
          }
          expect(lines.at(-1)).toContain('0 ms in all');
        },
      ),
    );
  });

  it('tells of a store that answered alone, and how old its answer may be', () => {
    const alone = receipt({ level: 'eventual', rounds: 0, replicasAsked: 1, replicasAnswered: 1, stalenessMs: 366 });
    expect(timelineLines(alone, 80, plain).slice(1)).toEqual([
      'no other node was waited for',
      '0 rounds · 1 of 1 replica answered · 200 ms in all · at most 366 ms stale',
    ]);
  });

  it('tells of rounds that were made elsewhere, for a node without a replica', () => {
    const passedOn = receipt({ rounds: 3, hops: [hop('us-east', 1, 0, 190)] });
    expect(timelineLines(passedOn, 80, plain).at(-1)).toBe(
      '3 rounds, 2 of them at us-east-1 · 3 of 3 replicas answered · 200 ms in all',
    );
  });

  it('never lets a name steer the terminal', () => {
    const evil = receipt({ node: '\u001b[2J', hops: [{ ...hop('x', 1, 0, 5), region: 'a\u001b[2J' }] });
    expect(timelineLines(evil, 80, plain).join('')).not.toContain('\u001b');
  });
});
