import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { StoreId, StoreName } from '../../ids.ts';
import { ZERO_BALLOT } from './ballot.ts';
import type { Member, QueryReply } from './messages.ts';
import type { Step } from './operation.ts';
import type { PlantedFlaws } from './planted-flaws.ts';
import { onReply, startRead } from './proposer.ts';
import { type Answered, agreedRead } from './reading.ts';
import { ballot, P, value } from './register.testing.ts';
import type { Proposal } from './register.ts';

const MEMBERS: readonly Member[] = ['a', 'b', 'c', 'd', 'e'].map((name) => ({
  name: name as StoreName,
  id: `${name}.1` as StoreId,
}));
const NOW_MS = 1_000;
const ballots = [ballot(1), ballot(2), ballot(3)];
/** Of each ballot one: gone for some clocks, a tombstone, and one that stays. */
const proposals: readonly Proposal[] = [
  { ballot: ballot(1), value: value(1, { expiresAtMs: NOW_MS }) },
  { ballot: ballot(2), value: value(2, { body: null }) },
  { ballot: ballot(3), value: value(3) },
];

const replies: fc.Arbitrary<QueryReply> = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({
      kind: fc.constant('held' as const),
      accepted: fc.option(fc.constantFrom(...proposals), { nil: undefined }),
      isHearsay: fc.boolean(),
      committed: fc.option(fc.constantFrom(...ballots)),
      promised: fc.constantFrom(ZERO_BALLOT, ...ballots),
      wallMs: fc.constantFrom(NOW_MS - 1, NOW_MS),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ kind: 'stale-member' as const, member: MEMBERS[0] as Member }) },
);
const flaws: fc.Arbitrary<PlantedFlaws> = fc.constantFrom(
  new Set([]),
  new Set(['unchosen-returned'] as const),
  new Set(['absence-unsettled'] as const),
);

describe('a look at the first replies to a read', () => {
  it('comes to what the operation comes to by the same, or to nothing where that goes on', () => {
    const seen = { agreed: 0, open: 0 };
    fc.assert(
      fc.property(
        fc.constantFrom(1, 3, 5),
        fc.array(replies, { minLength: 5, maxLength: 5 }),
        flaws,
        (count, all, planted) => {
          const members = MEMBERS.slice(0, count);
          const required = (count >> 1) + 1;
          const answers = members
            .slice(0, required)
            .map((member, at): Answered => ({ member, reply: all[at] as QueryReply }));
          const proposer = { id: P, required, flaws: planted };
          let step: Step = startRead(proposer, { round: 9, wallMs: NOW_MS, members });
          for (const { member, reply } of answers) step = onReply(step.operation, member.id, reply);
          const done = agreedRead(answers, required, planted);
          if (done) seen.agreed += 1;
          else seen.open += 1;
          if (step.kind !== 'done') expect(done).toBeUndefined();
          else
            expect(done).toEqual({ result: step.result, chosen: step.chosen, behind: step.behind, cache: undefined });
        },
      ),
      { numRuns: 2_000 },
    );
    expect(seen.agreed).toBeGreaterThan(200);
    expect(seen.open).toBeGreaterThan(200);
  });
});
