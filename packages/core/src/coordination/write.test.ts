import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { StoreName } from '../ids.ts';
import { addDurable, addWriteFailure, isWriteDecided, isWriteImpossible, startWrite } from './write.ts';

const [us, eu, ap, other] = ['us', 'eu', 'ap', 'elsewhere'] as StoreName[] as [
  StoreName,
  StoreName,
  StoreName,
  StoreName,
];
const majority = () => startWrite([us, eu, ap], 2);

describe('a write to several replicas', () => {
  it('is decided once enough have it on disk, each counted once', () => {
    const twice = addDurable(addDurable(majority(), us), us);
    expect(isWriteDecided(twice)).toBe(false);
    expect(isWriteDecided(addDurable(twice, eu))).toBe(true);
  });

  it('counts no store that is none of the replicas', () => {
    expect(isWriteDecided(addDurable(addDurable(majority(), us), other))).toBe(false);
    expect(isWriteImpossible(addWriteFailure(addWriteFailure(majority(), us), other))).toBe(false);
  });

  it('is impossible where the rest cannot make up the number', () => {
    const one = addWriteFailure(majority(), us);
    expect(isWriteImpossible(one)).toBe(false);
    expect(isWriteImpossible(addWriteFailure(one, us))).toBe(false);
    expect(isWriteImpossible(addWriteFailure(one, eu))).toBe(true);
  });

  it('believes a store that has it after all, and no failure after that', () => {
    const late = addWriteFailure(addDurable(addWriteFailure(majority(), us), us), us);
    expect(isWriteImpossible(addWriteFailure(late, eu))).toBe(false);
    expect(isWriteDecided(addDurable(addWriteFailure(late, eu), ap))).toBe(true);
  });

  it('is decided or impossible, never both, once all have spoken; and agrees with a count of who has it', () => {
    const outcome = fc.record({ store: fc.constantFrom(us, eu, ap, other), isDurable: fc.boolean() });
    fc.assert(
      fc.property(fc.array(outcome, { maxLength: 12 }), fc.integer({ min: 1, max: 3 }), (outcomes, required) => {
        let write = startWrite([us, eu, ap], required);
        for (const { store, isDurable } of outcomes)
          write = isDurable ? addDurable(write, store) : addWriteFailure(write, store);
        const replicas = [us, eu, ap];
        const durable = replicas.filter((store) => outcomes.some((each) => each.store === store && each.isDurable));
        const spoken = replicas.filter((store) => outcomes.some((each) => each.store === store));
        expect(isWriteDecided(write)).toBe(durable.length >= required);
        expect(isWriteImpossible(write)).toBe(durable.length + 3 - spoken.length < required);
      }),
      { numRuns: 1000 },
    );
  });
});
