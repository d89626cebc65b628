import type { NodeName, RecordKey, Sequence, StoreId, StoreName } from '@meridian/core/ids';
import { CHANGES, type Changes, FOLLOW, type Message } from '@meridian/core/wire/messages';
import { encodeRecord } from '@meridian/core/wire/record-codec';
import { describe, expect, it } from 'vitest';
import { ProcessClock, VirtualTime } from '../../../../test/simulation/virtual-time.ts';
import type { ChangesPage, Store, StoredRow } from '../ports/store.ts';
import type { Transport } from '../ports/transport.ts';
import type { Catalog } from './catalog.ts';
import { NO_BUGS } from './planted-bugs.ts';
import { Shipper } from './shipper.ts';

const ORIGIN = 'eu-1.here' as StoreId;
const FOLLOWER = 'us-1.there' as StoreId;
const US = 'us-1' as NodeName;
const LIMITS = { batchRowsMax: 2, batchBytesMax: 1_000_000, windowBytes: 1_000_000 };
const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

function row(sequence: number): StoredRow {
  const key = `shop.1\0${sequence}` as RecordKey;
  const dot = { store: ORIGIN, sequence: sequence as Sequence };
  const sibling = { dot, timeMs: 1, body: new Uint8Array([1]), contentType: '', expiresAtMs: null, session: new Map() };
  const record = { vector: new Map([[ORIGIN, sequence as Sequence]]), siblings: [sibling], ledger: [] };
  return { key, sequence: sequence as Sequence, record: encodeRecord(record) };
}

/** A shared store of which this node has heard up to `heard`, while the database holds these rows. */
function shipping(heard: number, rows: readonly StoredRow[]) {
  const time = new VirtualTime();
  const store = {
    id: ORIGIN,
    sequence: heard as Sequence,
    shared: {},
    changes: async (after: Sequence, { rowsMax }: { rowsMax: number }): Promise<ChangesPage> => {
      const above = rows.filter(({ sequence }) => sequence > after);
      const page = above.slice(0, rowsMax);
      const isComplete = page.length === above.length;
      const upTo = (isComplete ? rows.at(-1)?.sequence : page.at(-1)?.sequence) as Sequence;
      return { rows: page, isComplete, upTo };
    },
  };
  const batches: Changes[] = [];
  const transport = {
    isUp: () => true,
    send: (_to: NodeName, message: Message): boolean => {
      if (message[0] === CHANGES) batches.push(message);
      return true;
    },
  };
  const shipper = new Shipper(
    store as unknown as Store,
    transport as unknown as Transport,
    { isHeldBy: () => true } as unknown as Catalog,
    new ProcessClock(time, 0),
    silent,
    LIMITS,
    NO_BUGS,
    () => undefined,
    () => Promise.resolve(),
  );
  const run = (ms: number): Promise<void> => {
    let isOver = false;
    time.at(ms, () => {
      isOver = true;
    });
    return time.run(() => isOver);
  };
  const follow = (): void =>
    shipper.onFollow(US, 'us-1' as StoreName, [FOLLOW, ORIGIN, FOLLOWER, 0 as Sequence, 0 as Sequence, false, 1]);
  return { store, transport, shipper, batches, run, follow };
}

describe('shipping from a store that other nodes write to', () => {
  // The key of row 1 was written again as row 5: who has walked to 3 has neither.
  const MOVED = [row(2), row(3), row(4), row(5)];

  it('takes no view for complete that ends where this node has heard of, while the database goes on', async () => {
    const { shipper, batches, run, follow } = shipping(3, MOVED);
    follow();
    await run(1);
    shipper.onTick();
    await run(1);
    const told = batches.map(([, , , from, upTo, isWhole]) => [from, upTo, isWhole]);
    expect(told.filter(([, upTo, isWhole]) => isWhole && (upTo as number) < 5)).toEqual([]);
    expect(told.at(-1)).toEqual([3, 5, true]);
  });

  it('pushes a commit only to those who have seen the end before it', async () => {
    const { store, shipper, batches, run, follow } = shipping(3, MOVED);
    const { changes } = store;
    // Only the first page is to be had.
    let pages = 0;
    store.changes = (after, limits) => (pages++ === 0 ? changes(after, limits) : new Promise(() => undefined));
    follow();
    await run(1);
    store.sequence = 4 as Sequence;
    shipper.onCommit({ from: 3 as Sequence, upTo: 4 as Sequence, rows: [row(4)], isWhole: true });
    expect(batches.filter(([, , , , , isWhole]) => isWhole)).toEqual([]);
  });

  it('pushes at once to those who have', async () => {
    const { store, shipper, batches, run, follow } = shipping(5, MOVED);
    follow();
    await run(5);
    store.sequence = 6 as Sequence;
    shipper.onCommit({ from: 5 as Sequence, upTo: 6 as Sequence, rows: [row(6)], isWhole: true });
    const [, , , from, upTo, isWhole, rows] = batches.at(-1) as Changes;
    expect([from, upTo, isWhole, rows.length]).toEqual([5, 6, true, 1]);
  });
});

describe('shipping over a transport that takes no more', () => {
  it('reads on with the next tick, not over and over', async () => {
    const { store, transport, shipper, batches, run, follow } = shipping(5, [row(1), row(2), row(3), row(4), row(5)]);
    const { changes } = store;
    const { send } = transport;
    let reads = 0;
    store.changes = (after, limits) => {
      reads += 1;
      return changes(after, limits);
    };
    transport.send = () => false;
    follow();
    await run(100);
    expect(reads).toBe(1);
    for (let ticks = 0; ticks < 3; ticks++) {
      shipper.onTick();
      await run(100);
    }
    expect(reads).toBe(4);
    transport.send = send;
    shipper.onTick();
    await run(100);
    expect(batches.map(([, , , from, upTo, isWhole]) => [from, upTo, isWhole])).toEqual([
      [0, 2, false],
      [2, 4, false],
      [4, 5, true],
    ]);
  });
});
