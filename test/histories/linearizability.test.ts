import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isLinearizableByBruteForce } from './brute-force.ts';
import { explain } from './explain.ts';
import { checkLinearizable } from './linearizability.ts';
import { casRegisterModel, registerModel } from './model.ts';
import type { Operation } from './operation.ts';
import { type Choices, linearizableHistory } from './random-history.ts';
import { violationInStretch } from './stretches.ts';
import { operationsIn, steadyRecorder } from './testing.ts';

/** A stream of choices that is the same in every run (a linear congruential generator, Numerical Recipes' constants). */
function choicesOf(seed: number): Choices {
  let state = seed >>> 0;
  return {
    below: (bound) => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return Math.floor((state / 2 ** 32) * bound);
    },
  };
}

const LARGE = { operations: 30_000, values: Number.POSITIVE_INFINITY, reach: 5, openEvery: 300 };

describe('the linearizability checker on a large history', () => {
  const history = linearizableHistory(choicesOf(7), LARGE);
  const seen = history.filter(({ f, outcome, output }) => f === 'read' && outcome === 'ok' && output !== null);

  it('decides one key of 30,000 operations, of which 80 and more stay open', () => {
    expect(history.filter(({ outcome }) => outcome === 'open').length).toBeGreaterThan(80);
    expect(checkLinearizable(history, casRegisterModel).verdict).toBe('linearizable');
  });

  it('finds a stale read in it, and says which', () => {
    const [old, fresh] = [seen[1_000], seen[2_000]] as [Operation, Operation];
    const stale = { ...fresh, output: old.output };
    const verdict = checkLinearizable(
      history.map((one) => (one === fresh ? stale : one)),
      casRegisterModel,
    );
    expect(verdict.verdict).toBe('violated');
    if (verdict.verdict === 'violated') expect(verdict.stuck).toContainEqual(stale);
  });

  it('says that it could not decide when its steps are used up, and never that all is well', () => {
    expect(checkLinearizable(history, casRegisterModel, { stepsMax: 10_000 }).verdict).toBe('undecided');
  });
});

describe('the linearizability checker on stretches of a history', () => {
  const choices = fc.gen().map((gen): Choices => ({ below: (bound) => gen(fc.integer, { min: 0, max: bound - 1 }) }));
  const shape = { operations: 8, values: 3, reach: 2, openEvery: 5 };

  it('finds no violation where there is none, wherever a stretch ends and begins', () => {
    fc.assert(
      fc.property(choices, fc.integer({ min: 1, max: 8 }), (from, length) => {
        const history = linearizableHistory(from, shape);
        for (const last of history.filter(({ outcome }) => outcome !== 'open'))
          expect(violationInStretch(history, casRegisterModel, { stuck: [last], steps: 0 }, [length])).toBeUndefined();
      }),
      { numRuns: 500 },
    );
  });

  it('finds violations, and only such as a checker confirms that tries every order', () => {
    let found = 0;
    fc.assert(
      fc.property(choices, fc.integer({ min: 3, max: 8 }), (from, length) => {
        const history = linearizableHistory(from, shape);
        const at = from.below(history.length);
        const changed = history.map((one, index) =>
          index === at && one.f === 'read' ? { ...one, output: from.below(3) } : one,
        );
        const last = changed.findLast(({ outcome }) => outcome !== 'open');
        fc.pre(last !== undefined);
        const violated = violationInStretch(changed, casRegisterModel, { stuck: last ? [last] : [], steps: 0 }, [
          length,
        ]);
        if (!violated) return;
        found++;
        expect(isLinearizableByBruteForce(changed, casRegisterModel)).toBe(false);
      }),
      { numRuns: 2_000 },
    );
    expect(found).toBeGreaterThan(20);
  });
});

describe('the account of a violation', () => {
  it('shows where the order ends, what cannot follow, and what was never answered', () => {
    const recorder = steadyRecorder();
    const done = (process: number, f: string, value: unknown, output: unknown) =>
      recorder.invoke(process, { f, key: 'k', value, at: 'us-east' })({ type: 'ok', value: output });
    done(0, 'write', 'a', null);
    recorder.invoke(1, { f: 'write', key: 'k', value: 'lost' })({ type: 'info', error: 'NO_ANSWER' });
    done(0, 'write', 'b', null);
    done(2, 'read', null, 'b');
    done(3, 'read', null, 'a');
    const verdict = checkLinearizable(operationsIn(recorder), registerModel);
    if (verdict.verdict !== 'violated') throw new Error(verdict.verdict);
    expect(explain('k', verdict)).toEqual([
      'k: not linearizable',
      '  3 operations fit in an order that ends with',
      '    write "a" -> ok   (process 0 at us-east, 0..1 ms)',
      '    write "b" -> ok   (process 0 at us-east, 4..5 ms)',
      '    read -> "b"   (process 2 at us-east, 6..7 ms)',
      '  and leaves the key with "b". None of these can come next:',
      '    read -> "a"   (process 3 at us-east, 8..9 ms)',
      '  Not answered, so free to take effect or not, and of no help:',
      '    write "lost" -> unknown (NO_ANSWER)   (process 1, 2.. ms)',
    ]);
  });

  it('refuses operations that its model does not know', () => {
    const recorder = steadyRecorder();
    recorder.invoke(0, { f: 'cas', key: 'k', value: [1, 2] })({ type: 'ok' });
    expect(() => checkLinearizable(operationsIn(recorder), registerModel)).toThrow('a register knows no cas');
  });
});
