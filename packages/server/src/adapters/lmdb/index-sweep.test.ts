import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RecordKey, Sequence, StoreId } from '@meridian/core/ids';
import { afterEach, describe, expect, it } from 'vitest';
import type { FlushChanges, StoreState } from '../group-commit.ts';
import { Database } from './database.ts';
import { IndexSweep } from './index-sweep.ts';

/** An index in memory: `live` says at which row each key stands now. */
class Rows {
  readonly rows = new Map<number, string>();
  readonly live = new Map<string, number>();

  write(sequence: number, key: string): void {
    this.rows.set(sequence, key);
    this.live.set(key, sequence);
  }

  sweep(): IndexSweep {
    return new IndexSweep({
      counts: () => ({ live: this.live.size, all: this.rows.size }),
      rowsAfter: (after) =>
        [...this.rows]
          .sort(([a], [b]) => a - b)
          .filter(([sequence]) => sequence > after)
          .map(([key, text]) => ({ key, value: Buffer.from(text) })),
      sequenceOf: (key) => this.live.get(key) as Sequence | undefined,
    });
  }
}

describe('the sweep of the index', () => {
  it('lets a few stale rows be', () => {
    const rows = new Rows();
    for (let sequence = 1; sequence <= 5_000; sequence++) rows.write(sequence, 'k');
    expect(rows.sweep().next(64)).toEqual([]);
  });

  it('takes all stale rows of many, none that is live, a bounded number a commit', () => {
    const rows = new Rows();
    for (let sequence = 1; sequence <= 16_000; sequence++) rows.write(sequence, `k${sequence % 100}`);
    const sweep = rows.sweep();
    const removed = new Set<number>();
    for (let commits = 0; commits < 100; commits++) {
      const swept = sweep.next(64);
      expect(swept.length).toBeLessThanOrEqual(256);
      for (const sequence of swept) {
        removed.add(sequence);
        rows.rows.delete(sequence);
      }
    }
    expect(rows.rows.size).toBe(100);
    expect([...rows.live.values()].some((sequence) => removed.has(sequence))).toBe(false);
  });
});

describe('a database whose keys are written over and over', () => {
  const folder = mkdtempSync(join(tmpdir(), 'meridian-sweep-'));
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it('keeps its index within the bound, and shows each key once, at its last sequence', async () => {
    const database = new Database(folder);
    let state: StoreState = { id: 's.1' as StoreId, sequence: 0 as Sequence, positions: new Map(), notes: new Map() };
    database.create(state);
    const record = Buffer.from('record');
    for (let commit = 0; commit < 60; commit++) {
      const before = state;
      const rows = Array.from({ length: 500 }, (_none, at) => ({
        key: `n.1\0k${at}` as RecordKey,
        sequence: (before.sequence + 1 + at) as Sequence,
        record,
      }));
      state = { ...before, sequence: (before.sequence + rows.length) as Sequence };
      const changes: FlushChanges = { before, after: state, rows, removed: [], staleRows: [] };
      await database.commit(changes);
    }
    expect(database.indexRows).toBeLessThan(500 * 1.5 + 10_000 + 500);
    const shown = [...database.rowsAfter(0 as Sequence)];
    expect(shown).toHaveLength(500);
    expect(new Set(shown.map(({ key }) => key)).size).toBe(500);
    expect(shown.every(({ sequence }) => sequence > 59 * 500)).toBe(true);
    await database.close();
  });
});
