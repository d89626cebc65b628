import type { RecordKey, Sequence, StoreId } from '@meridian/core/ids';
import { describe, expect, it } from 'vitest';
import type { StoreState } from '../flush.ts';
import { PendingRows } from './pending-rows.ts';

const START: StoreState = { id: 's.1' as StoreId, sequence: 9 as Sequence, positions: new Map(), notes: new Map() };

describe('the rows of a log segment', () => {
  it('counts removals as it does rows: they take memory, and must be sorted and handed over too', () => {
    const rows = new PendingRows(START);
    const removed = Array.from({ length: 9 }, (_none, at) => ({
      key: `n.1\0k${at}` as RecordKey,
      replaces: (at + 1) as Sequence,
    }));
    rows.take({ rows: [], removed, after: START });
    expect(rows.rowsTaken).toBe(9);
    expect(rows.keysAdded).toBe(-9);
  });
});
