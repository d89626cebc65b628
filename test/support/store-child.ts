/** Run by `StoreProcess`: opens a store and does what the lines on its standard input say. */
import { appendFile, rm, statfs } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import type { RecordKey, StoreName } from '@meridian/core/ids';
import { NO_SEQUENCE } from '@meridian/core/ids';
import { openLmdbStore } from '@meridian/server/adapters/lmdb/lmdb-store';
import type { Store } from '@meridian/server/ports/store';
import type { StoreCommand } from './store-process.ts';
import { systemRandom } from './system-random.ts';

const [path, reserveBytes, rowsMax, segmentBytes] = process.argv.slice(2) as [string, string, string, string];
const tell = (line: unknown) => process.stdout.write(`${JSON.stringify(line)}\n`);

async function open(): Promise<Store> {
  try {
    return await openLmdbStore({
      path,
      storeName: 'us-1' as StoreName,
      random: systemRandom,
      reserveBytes: Number(reserveBytes),
      limits: { rowsMax: Number(rowsMax), segmentBytes: Number(segmentBytes) },
    });
  } catch (error) {
    tell({ opened: (error as Error).message });
    process.exit(1);
  }
}

const store = await open();
const commits: unknown[] = [];
store.onCommit((commit) => commits.push([commit.from, commit.upTo, ...commit.rows.map((row) => row.key)]));
tell({ opened: 'opened' });

for await (const line of createInterface(process.stdin)) void answer(line);
await store.close();

async function answer(line: string): Promise<void> {
  const { id, ...command } = JSON.parse(line) as StoreCommand & { id: number };
  const startMs = performance.now();
  try {
    const value = await run(command);
    tell({ id, answer: { value, tookMs: performance.now() - startMs } });
  } catch (error) {
    const { name, message } = error as Error;
    tell({ id, answer: { failure: name, message, tookMs: performance.now() - startMs } });
  }
}

async function run(command: StoreCommand): Promise<unknown> {
  switch (command.do) {
    case 'put':
      return put(command.key, Buffer.from(command.value));
    case 'get': {
      const record = await store.get(command.key as RecordKey);
      return record === undefined ? null : Buffer.from(record).toString();
    }
    case 'look': {
      const { rows } = await store.changes(NO_SEQUENCE, { rowsMax: 100, bytesMax: 1e9 });
      return { sequence: store.sequence, keys: rows.map((row) => row.key), commits };
    }
    case 'load':
      return load(command.prefix, command.inFlight);
    case 'fill':
      return fill(command.path, command.leaveBytes);
    case 'remove':
      return rm(command.path);
    default:
      return command satisfies never;
  }
}

function put(name: string, record: Uint8Array): Promise<number> {
  const key = name as RecordKey;
  return store.update([key], (view) => ({ writes: [{ key, record }], result: view.nextSequence }));
}

/** Writes until the process is killed, and tells of each write once it is acknowledged. */
async function load(prefix: string, inFlight: number): Promise<void> {
  let count = 0;
  const write = async () => {
    for (;;) {
      const name = `${prefix}-${count++}`;
      await put(name, Buffer.from(name.repeat(20)));
      tell({ wrote: name });
    }
  };
  await Promise.all(Array.from({ length: inFlight }, write));
}

async function fill(file: string, leaveBytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(path);
  await appendFile(file, Buffer.alloc(Math.max(0, bavail * bsize - leaveBytes)));
}
