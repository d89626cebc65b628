import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TIME_MS_MAX } from '../causality/hybrid-clock.ts';
import { anyVector } from '../causality/record.testing.ts';
import { type Ballot, compareBallots, type ProposerId, ROUND_MAX, ZERO_BALLOT } from '../coordination/paxos/ballot.ts';
import type { AppliedRequest, Proposal, RegisterState, RegisterValue } from '../coordination/paxos/register.ts';
import type { StoreId } from '../ids.ts';
import { MalformedBytes } from './bytes.ts';
import { opened } from './register-codec.testing.ts';
import { decodeRegister, encodeRegister } from './register-codec.ts';

/** Within a few seconds. */
const FUZZ_RUNS = 40_000;

const timeMs = fc.oneof(fc.nat({ max: 9 }), fc.integer({ min: 0, max: TIME_MS_MAX }), fc.constant(TIME_MS_MAX));
const anyBallot = fc.record({
  round: fc.oneof(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: ROUND_MAX })),
  proposer: fc.constantFrom('a.1/x', 'b.1/y', 'b.1/z') as fc.Arbitrary<string> as fc.Arbitrary<ProposerId>,
}) as fc.Arbitrary<Ballot>;
const anyStore = fc.constantFrom('a.1', 'b.1') as fc.Arbitrary<string> as fc.Arbitrary<StoreId>;
const anyRequest: fc.Arbitrary<AppliedRequest> = fc.record({
  id: fc.string({ unit: 'grapheme-ascii', minLength: 1, maxLength: 32 }),
  isClients: fc.boolean(),
  version: fc.integer({ min: 1, max: 20 }),
  timeMs,
  expiresAtMs: fc.option(timeMs),
  existed: fc.boolean(),
  writer: fc.option(anyStore),
});
const anyValue: fc.Arbitrary<RegisterValue> = fc
  .record({
    version: fc.oneof(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER })),
    writer: anyStore,
    timeMs,
    body: fc.option(fc.uint8Array({ maxLength: 60 })),
    contentType: fc.constantFrom('', 'application/json', 'image/png'),
    expiresAtMs: fc.option(timeMs),
    session: anyVector,
    requests: fc
      .uniqueArray(anyRequest, { maxLength: 6, selector: ({ id }) => id })
      .map((list) => list.filter(({ version }, at) => list.findIndex((other) => other.version === version) === at)),
  })
  .map(({ requests, ...drawn }) => ({
    ...drawn,
    requests: requests
      .filter(({ version }) => version <= drawn.version)
      .sort((left, right) => left.version - right.version)
      .map((each) => {
        const { timeMs: at, expiresAtMs } = drawn;
        const isOfValue = each.version === drawn.version;
        const writer = each.isClients ? (isOfValue ? drawn.writer : each.writer) : null;
        return isOfValue ? { ...each, timeMs: at, expiresAtMs, writer } : { ...each, writer };
      }),
  }));
const anyProposal: fc.Arbitrary<Proposal> = fc.record({ ballot: anyBallot, value: fc.option(anyValue) });

/** Any state that keeps the invariants. */
const anyState: fc.Arbitrary<RegisterState> = fc
  .tuple(anyBallot, fc.option(anyProposal), fc.option(anyProposal), fc.boolean(), fc.boolean())
  .map(([promised, one, two, isSame, isHearsay]) => {
    const [committed, accepted] = [one, two].filter((each) => each !== null).sort(byBallot) as [Proposal?, Proposal?];
    const last = accepted ?? committed;
    const isApart = accepted && committed && compareBallots(accepted.ballot, committed.ballot) > 0;
    const known = isSame ? last : isApart ? committed : undefined;
    return {
      promised: last && compareBallots(last.ballot, promised) > 0 ? last.ballot : promised,
      accepted: last,
      committed: known,
      isHearsay: isHearsay && last !== known,
    };
  });

function byBallot(left: Proposal, right: Proposal): number {
  return compareBallots(left.ballot, right.ballot);
}

describe('any register', () => {
  it('comes back from its bytes', () => {
    fc.assert(
      fc.property(anyState, (state) => {
        expect(opened(decodeRegister(encodeRegister(state)))).toEqual(state);
      }),
      { numRuns: 1000 },
    );
  });
});

/** The bytes are refused, or they are the one text of a valid state. @returns whether they were read */
function readOrRefuse(bytes: Uint8Array): boolean {
  let state: RegisterState;
  try {
    state = decodeRegister(bytes);
  } catch (error) {
    if (!(error instanceof MalformedBytes)) throw error;
    return false;
  }
  if (!isValid(state)) throw new Error('a state that breaks an invariant was read');
  // From the fields: what was not looked into would be written as it was read.
  if (Buffer.compare(encodeRegister(opened(state)), bytes) !== 0) throw new Error('a second text for a state was read');
  return true;
}

function isValid({ promised, accepted, committed, isHearsay }: RegisterState): boolean {
  if (isHearsay && (!accepted || accepted === committed)) return false;
  if (committed && !accepted) return false;
  const inOrder = [promised, accepted?.ballot ?? ZERO_BALLOT, committed?.ballot ?? ZERO_BALLOT];
  return inOrder.every((each, at) => at === 0 || compareBallots(inOrder[at - 1] as Ballot, each) >= 0);
}

describe('bytes that nobody wrote', () => {
  const drawn = fc.array(fc.tuple(fc.nat({ max: 3 }), fc.nat(), fc.nat({ max: 255 })), { minLength: 1, maxLength: 3 });

  it('are refused, or are the bytes of a valid state: damaged states', () => {
    const states = fc.sample(anyState, 300).map(encodeRegister);
    let read = 0;
    fc.assert(
      fc.property(fc.nat(), drawn, (which, changes) => {
        const bytes = [...(states[which % states.length] as Uint8Array)];
        for (const [kind, place, byte] of changes) {
          const at = place % (bytes.length + 1);
          if (kind === 0) bytes.splice(at, 1, byte);
          else if (kind === 1) bytes.splice(at, 0, byte & 7);
          else if (kind === 2) bytes.splice(at, 1);
          else bytes.splice(at, 1, (bytes[at] ?? 0) ^ (1 << (byte & 7)));
        }
        if (readOrRefuse(Uint8Array.from(bytes))) read += 1;
      }),
      { numRuns: FUZZ_RUNS },
    );
    // Else nothing but refusal was tried.
    expect(read).toBeGreaterThan(FUZZ_RUNS / 100);
  });

  it('are refused, or are the bytes of a valid state: noise', () => {
    const noise = fc.array(fc.oneof(fc.nat({ max: 4 }), fc.nat({ max: 255 })), { maxLength: 40 });
    fc.assert(
      fc.property(noise, (bytes) => {
        readOrRefuse(Uint8Array.from([2, ...bytes]));
      }),
      { numRuns: FUZZ_RUNS / 2 },
    );
  });
});
