import { describe, expect, it } from 'vitest';
import type { StoreId } from '../../ids.ts';
import { compareBallots, proposerIdFor, proposerStoreOf, Rounds, sameBallot, ZERO_BALLOT } from './ballot.ts';
import { ballot, P, Q } from './register.testing.ts';

describe('ballots', () => {
  it('are ordered by round, then by proposer, above the zero one', () => {
    const sorted = [ZERO_BALLOT, ballot(1, P), ballot(1, Q), ballot(2, P)];
    expect([...sorted].reverse().sort(compareBallots)).toEqual(sorted);
    expect(compareBallots(ballot(1, P), ballot(1, P))).toBe(0);
  });

  it('are the same only where both parts are', () => {
    expect(sameBallot(ballot(1, P), { ...ballot(1, P) })).toBe(true);
    expect(sameBallot(ballot(1, P), ballot(1, Q))).toBe(false);
    expect(sameBallot(ballot(1, P), ballot(2, P))).toBe(false);
    expect(sameBallot(undefined, undefined)).toBe(false);
  });

  it('name the store that proposes', () => {
    const store = 'eu-1.k3' as StoreId;
    expect(proposerStoreOf(proposerIdFor(store, 'x9'))).toBe(store);
    expect(proposerIdFor(store, 'x9')).not.toBe(proposerIdFor(store, 'x8'));
  });
});

describe('rounds', () => {
  it('are given out two at a time, each once, above what was asked for', () => {
    const rounds = new Rounds();
    const given = [0, 0, 10, 3, 12].map((floor) => rounds.above(floor));
    expect(given).toEqual([1, 3, 11, 13, 15]);
  });
});
