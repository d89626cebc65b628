import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isLinearizableByBruteForce } from './brute-force.ts';
import { explain } from './explain.ts';
import { checkLinearizable } from './linearizability.ts';
import { casRegisterModel } from './model.ts';
import type { Operation } from './operation.ts';
import { type Choices, inCallOrder, linearizableHistory, type Shape } from './random-history.ts';
import type { Verdict } from './verdict.ts';

/** Draws from fast-check, so that a history that fails is made small. */
const choices = fc.gen().map((gen): Choices => ({ below: (bound) => gen(fc.integer, { min: 0, max: bound - 1 }) }));
const UNIQUE = Number.POSITIVE_INFINITY;
const judge = (operations: readonly Operation[]) => checkLinearizable(operations, casRegisterModel);
const told = (verdict: Verdict) => (verdict.verdict === 'linearizable' ? '' : explain('k', verdict).join('\n'));

function shape(over: Partial<Shape>): Shape {
  return { operations: 7, values: 3, reach: 3, openEvery: 5, ...over };
}

describe('the linearizability checker, on histories made of sequential ones by widening intervals', () => {
  it('accepts those of a few shared values', () => {
    fc.assert(
      fc.property(
        choices,
        fc.integer({ min: 1, max: 80 }),
        fc.integer({ min: 0, max: 6 }),
        (from, operations, reach) => {
          const verdict = judge(linearizableHistory(from, shape({ operations, reach })));
          expect(told(verdict)).toBe('');
        },
      ),
      { numRuns: 300 },
    );
  });

  it('accepts those in which every write has its own value', () => {
    fc.assert(
      fc.property(choices, fc.integer({ min: 1, max: 120 }), (from, operations) => {
        const verdict = judge(linearizableHistory(from, shape({ operations, values: UNIQUE, reach: 5, openEvery: 4 })));
        expect(told(verdict)).toBe('');
      }),
      { numRuns: 300 },
    );
  });

  it('gives an order that holds all answered operations, respects real time and runs by itself', () => {
    fc.assert(
      fc.property(choices, fc.integer({ min: 1, max: 60 }), (from, operations) => {
        const history = linearizableHistory(from, shape({ operations }));
        const verdict = judge(history);
        if (verdict.verdict !== 'linearizable') throw new Error(told(verdict));
        const { order } = verdict;
        expect(new Set(order).size).toBe(order.length);
        for (const operation of history) if (operation.outcome !== 'open') expect(order).toContain(operation);
        let state: string | undefined = casRegisterModel.initial;
        for (const [at, operation] of order.entries()) {
          for (const later of order.slice(at + 1)) expect(later.returnedAt).toBeGreaterThan(operation.calledAt);
          state = casRegisterModel.step(operation)?.(state ?? '');
          expect(state).toBeDefined();
        }
      }),
      { numRuns: 200 },
    );
  });

  it('rejects them once a read returns what nobody wrote', () => {
    fc.assert(
      fc.property(choices, fc.integer({ min: 1, max: 60 }), (from, operations) => {
        const history = linearizableHistory(from, shape({ operations }));
        const reads = history.filter(({ f, outcome }) => f === 'read' && outcome === 'ok');
        fc.pre(reads.length > 0);
        const changed = reads[from.below(reads.length)];
        const verdict = judge(history.map((one) => (one === changed ? { ...one, output: 'of nobody' } : one)));
        expect(verdict.verdict).toBe('violated');
      }),
      { numRuns: 200 },
    );
  });
});

describe('the linearizability checker, beside one that tries every order', () => {
  it('agrees on histories with one answer changed', () => {
    let rejected = 0;
    fc.assert(
      fc.property(choices, (from) => {
        const history = linearizableHistory(from, shape({ reach: 2 }));
        const at = from.below(history.length);
        const changed = history.map((one, index) => (index === at ? mutated(one, from) : one));
        const isFine = isLinearizableByBruteForce(changed, casRegisterModel);
        expect(judge(changed).verdict).toBe(isFine ? 'linearizable' : 'violated');
        if (!isFine) rejected++;
      }),
      { numRuns: 3_000 },
    );
    expect(rejected).toBeGreaterThan(300);
  });

  it('agrees on operations and answers drawn at random', () => {
    const verdicts = { fine: 0, not: 0 };
    fc.assert(
      fc.property(choices, (from) => {
        const history = inCallOrder(Array.from({ length: 6 }, (_, at) => anyOperation(at, from)));
        const isFine = isLinearizableByBruteForce(history, casRegisterModel);
        expect(judge(history).verdict).toBe(isFine ? 'linearizable' : 'violated');
        verdicts[isFine ? 'fine' : 'not']++;
      }),
      { numRuns: 3_000 },
    );
    expect(verdicts.fine).toBeGreaterThan(200);
    expect(verdicts.not).toBeGreaterThan(200);
  });
});

/** The same request with another answer. */
function mutated(operation: Operation, from: Choices): Operation {
  if (operation.f === 'read') return { ...operation, output: [null, 0, 1, 2][from.below(4)] };
  const outcome = operation.outcome === 'ok' ? 'refused' : 'ok';
  return operation.f === 'write' || operation.outcome === 'open'
    ? { ...operation, input: operation.f === 'write' ? from.below(3) : operation.input }
    : { ...operation, outcome };
}

function anyOperation(at: number, from: Choices): Operation {
  const f = ['read', 'write', 'cas', 'create', 'delete', 'cas-delete'][from.below(6)] as string;
  const value = () => [null, 0, 1][from.below(3)];
  const written = () => from.below(2);
  const input = { write: written(), create: written(), cas: [value(), written()], 'cas-delete': value() }[f] ?? null;
  const outcome =
    (['ok', 'ok', f === 'read' || f === 'write' ? 'ok' : 'refused', 'open'] as const)[from.below(4)] ?? 'ok';
  const calledAt = from.below(10) + at / 100;
  return {
    id: at,
    process: at,
    f,
    key: 'k',
    input,
    output: f === 'read' ? value() : null,
    outcome,
    calledAt,
    returnedAt: outcome === 'open' ? Number.POSITIVE_INFINITY : calledAt + from.below(6) + 0.5,
    calledMs: calledAt,
    returnedMs: calledAt,
  };
}
