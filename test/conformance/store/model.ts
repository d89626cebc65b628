import { NO_SEQUENCE } from '@meridian/core/ids';
import type { Store, StoredRow } from '@meridian/server/ports/store';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { ALL, allChanges, bytes, FIRST, key, LAST, seen, text } from './moves.ts';
import type { StoreCapabilities, StoreMedium } from './subject.ts';

/** Random steps, and after them everything that a plain map would hold. */
export function describeModel(makeMedium: () => Promise<StoreMedium>, capabilities: StoreCapabilities): void {
  it('behaves as a naive model does, over reopenings', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 40 }), async (steps) => {
        const other = await makeMedium();
        const run = new ModelRun(other);
        try {
          await run.start();
          for (const one of steps) await run.step(one);
          await run.compare();
        } finally {
          await run.stop();
        }
      }),
      { numRuns: capabilities.propertyRuns },
    );
  });
}

const NAMES = ['a', 'b', 'b\0', 'c', '\uffee', '\u{1f600}'];

type Step =
  | { readonly kind: 'updates'; readonly updates: readonly (readonly ModelWrite[])[] }
  | { readonly kind: 'reopen' }
  | { readonly kind: 'compare' }
  | { readonly kind: 'renew' };
interface ModelWrite {
  readonly name: string;
  readonly value: number | null;
}

const write = fc.record({ name: fc.constantFrom(...NAMES), value: fc.option(fc.nat(99), { freq: 4 }) });
const update = fc.uniqueArray(write, { maxLength: 4, selector: (one) => one.name });
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant('updates' as const), updates: fc.array(update, { maxLength: 6 }) }),
  },
  { weight: 2, arbitrary: fc.constant({ kind: 'compare' as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'reopen' as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'renew' as const }) },
);

/** Each update appends its value to the record, so that a turn taken on old bytes shows. */
class ModelRun {
  readonly #medium: StoreMedium;
  readonly #rows = new Map<string, { value: string; sequence: number }>();
  #sequence = 0;
  #told: StoredRow[] = [];
  #store: Store | undefined;

  constructor(medium: StoreMedium) {
    this.#medium = medium;
  }

  async start(): Promise<void> {
    this.#store = await this.#medium.open();
    this.#store.onCommit((commit) => this.#told.push(...commit.rows));
  }

  async stop(): Promise<void> {
    await this.#store?.close();
    await this.#medium.dispose();
  }

  async step(one: Step): Promise<void> {
    if (one.kind === 'compare') return this.compare();
    if (one.kind === 'renew') return this.#opened().renewId();
    if (one.kind === 'reopen') {
      await this.#opened().close();
      return this.start();
    }
    const asked = one.updates.map((writes) => this.#ask(writes));
    const expected = one.updates.map((writes) => this.#model(writes));
    expect(await Promise.all(asked)).toEqual(expected);
    return undefined;
  }

  #opened(): Store {
    if (!this.#store) throw new Error('the run was not started');
    return this.#store;
  }

  #ask(writes: readonly ModelWrite[]): Promise<(string | undefined)[]> {
    const keys = writes.map((one) => key(one.name));
    return this.#opened().update(keys, (view) => ({
      writes: writes.map((one, at) => ({
        key: key(one.name),
        record: one.value === null ? null : bytes(`${text(view.record(at)) ?? ''},${one.value}`),
      })),
      result: writes.map((_, at) => text(view.record(at))),
    }));
  }

  #model(writes: readonly ModelWrite[]): (string | undefined)[] {
    const before = writes.map((one) => this.#rows.get(one.name)?.value);
    for (const [at, one] of writes.entries()) {
      if (one.value === null) this.#rows.delete(one.name);
      else this.#rows.set(one.name, { value: `${before[at] ?? ''},${one.value}`, sequence: ++this.#sequence });
    }
    return before;
  }

  async compare(): Promise<void> {
    const store = this.#opened();
    const rows = [...this.#rows].map(([name, row]) => ({ name, line: `${name}=${row.value}@${row.sequence}`, ...row }));
    for (const name of NAMES) expect(text(await store.get(key(name)))).toBe(this.#rows.get(name)?.value);
    const byKey = [...rows].sort((left, right) => Buffer.compare(Buffer.from(left.name), Buffer.from(right.name)));
    expect(seen((await store.scan(FIRST, LAST, ALL)).rows)).toEqual(byKey.map((row) => row.line));
    const bySequence = [...rows].sort((left, right) => left.sequence - right.sequence);
    expect(await allChanges(store)).toEqual(bySequence.map((row) => row.line));
    expect(await this.#pagedChanges()).toEqual(bySequence.map((row) => row.line));
    expect(store.sequence).toBe(this.#sequence);
    expect((await store.figures()).records).toBe(rows.length);
    const sequences = this.#told.map((row) => row.sequence);
    expect(sequences).toEqual([...sequences].sort((left, right) => left - right));
    for (const row of rows) expect(sequences).toContain(row.sequence);
  }

  async #pagedChanges(): Promise<string[]> {
    const rows: StoredRow[] = [];
    let after = NO_SEQUENCE;
    for (;;) {
      const page = await this.#opened().changes(after, { rowsMax: 2, bytesMax: 50 });
      rows.push(...page.rows);
      after = page.upTo;
      if (page.isComplete) return seen(rows);
    }
  }
}
