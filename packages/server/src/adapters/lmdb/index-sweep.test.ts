import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RecordKey, Sequence, StoreId } from '@meridian/core/ids';
import { afterEach, describe, expect, it } from 'vitest';
import type { StoreState } from '../flush.ts';
import { Database } from './database.ts';
import { IndexSweep } from './index-sweep.ts';

/** An index in memory: `live` says at which row each key stands now. */
class Rows {
  readonly rows = new Map<number, string>();
  readonly live = new Map<string, number>();
  readonly sweep = new IndexSweep({
    counts: () => ({ live: this.live.size, all: this.rows.size }),
    rowsAfter: (after) =>
      [...this.rows]
        .sort(([a], [b]) => a - b)
        .filter(([sequence]) => sequence > after)
        .map(([key, text]) => ({ key, value: Buffer.from(text) })),
    sequenceOf: (key) => this.live.get(key) as Sequence | undefined,
  });

  /** One commit; `isTold` says whether the sweep hears what it left behind, or a restart came between. */
  commit(from: number, count: number, keys: number, isTold = true): readonly number[] {
    const swept = this.sweep.next(count);
    for (const sequence of swept) this.rows.delete(sequence);
    const stale: number[] = [];
    for (let sequence = from; sequence < from + count; sequence++) {
      const key = `k${sequence % keys}`;
      const before = this.live.get(key);
      if (before !== undefined) stale.push(before);
      this.rows.set(sequence, key);
      this.live.set(key, sequence);
    }
    if (isTold) this.sweep.remember(stale);
    return swept;
  }

  get isWhole(): boolean {
    return [...this.live].every(([key, sequence]) => this.rows.get(sequence) === key);
  }
}

describe('the sweep of the index', () => {
  it('takes stale rows out many at a time, a bounded number a commit, and none that is live', () => {
    const rows = new Rows();
    let most = 0;
    for (let commit = 0; commit < 400; commit++) {
      const swept = rows.commit(1 + commit * 64, 64, 100);
      expect(swept.length).toBeLessThanOrEqual(1_024);
      most = Math.max(most, rows.rows.size);
      expect(rows.isWhole).toBe(true);
    }
    expect(most).toBeLessThan(100 + 2 * 4_096 + 64);
  });

  it('takes out in order what it takes out together', () => {
    const rows = new Rows();
    const batches: (readonly number[])[] = [];
    for (let commit = 0; commit < 100; commit++) batches.push(rows.commit(1 + commit * 64, 64, 1_000));
    const swept = batches.filter((batch) => batch.length > 0);
    expect(swept.length).toBeGreaterThan(2);
    for (const batch of swept) expect(batch).toEqual([...batch].sort((left, right) => right - left));
  });

  it('finds what a restart has forgotten, once there is enough of it', () => {
    const rows = new Rows();
    for (let commit = 0; commit < 400; commit++) rows.commit(1 + commit * 64, 64, 100, false);
    expect(rows.rows.size).toBeLessThan(100 + 10_000 + 50 + 10_000 + 64);
    expect(rows.isWhole).toBe(true);
  });
});

describe('a database whose keys are written over and over', () => {
  const folder = mkdtempSync(join(tmpdir(), 'meridian-sweep-'));
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it('keeps its index within the bound, and shows each key once, at its last sequence', async () => {
    const database = new Database(folder);
    const durable = new Map<string, Sequence>();
    let state: StoreState = { id: 's.1' as StoreId, sequence: 0 as Sequence, positions: new Map(), notes: new Map() };
    database.putHead(state, 0, 0);
    const record = Buffer.from('record');
    for (let commit = 0; commit < 60; commit++) {
      const before = state;
      const rows = Array.from({ length: 500 }, (_none, at) => ({
        key: `n.1\0k${at}` as RecordKey,
        sequence: (before.sequence + 1 + at) as Sequence,
        record,
      }));
      state = { ...before, sequence: (before.sequence + rows.length) as Sequence };
      const staleRows = rows.flatMap(({ key }) => durable.get(key) ?? []);
      for (const { key, sequence } of rows) durable.set(key, sequence);
      await database.commit({ rows, removed: [], staleRows, state: { before, after: state, logNumber: commit + 1 } });
    }
    expect(database.indexRows).toBeLessThan(500 * 1.5 + 10_000 + 500);
    const shown = [...database.rowsAfter(0 as Sequence)];
    expect(shown).toHaveLength(500);
    expect(new Set(shown.map(({ key }) => key)).size).toBe(500);
    expect(shown.every(({ sequence }) => sequence > 59 * 500)).toBe(true);
    await database.close();
  });
});
