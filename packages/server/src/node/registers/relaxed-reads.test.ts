import { proposerIdFor } from '@meridian/core/coordination/paxos/ballot';
import type { Accept } from '@meridian/core/coordination/paxos/messages';
import type { StoreId } from '@meridian/core/ids';
import { decodeRegister } from '@meridian/core/wire/register-codec';
import { describe, expect, it } from 'vitest';
import type { NodeState } from '../node-state.ts';
import { NO_BUGS } from '../planted-bugs.ts';
import type { Reads } from '../reads.ts';
import { type AcceptorAlone, KEY, onAcceptor } from './acceptors.testing.ts';
import { ChosenMarks } from './chosen-marks.ts';
import { writtenValue } from './registers.testing.ts';
import { RelaxedReads } from './relaxed-reads.ts';
import type { Settling } from './settling.ts';

const proposer = proposerIdFor('us-1.aaaa' as StoreId, 'life');
const ballot = (round: number) => ({ round, proposer });
const accept = (round: number, chosen: number | null): Accept => ({
  kind: 'accept',
  ballot: ballot(round),
  value: writtenValue(round),
  next: null,
  members: [],
  chosen: chosen === null ? null : ballot(chosen),
});
const silent = () => undefined;
const log = { debug: silent, info: silent, warn: silent, error: silent };

/** Relaxed reads at an acceptor that is told of no marks, of a row that comes once `isSlow` resolves. */
function readsOf({ acceptors, clock, store, disk }: AcceptorAlone) {
  const marks = new ChosenMarks(acceptors, clock, log, silent);
  store.onCommit(({ rows }) => {
    for (const { key, record } of rows) {
      const { accepted, committed } = decodeRegister(record);
      marks.onRow(key, accepted?.ballot, committed?.ballot);
    }
  });
  const database = { isSlow: Promise.resolve() };
  const state = {
    catalog: { isHeldHere: () => true, byId: silent },
    self: { whoAmI: () => ({}) },
    bugs: NO_BUGS,
    metrics: { readsLocal: 0 },
    peers: { otherStores: () => [] },
    replica: {
      readBytes: async () => {
        const bytes = disk.durableRecord(KEY);
        await database.isSlow;
        return bytes;
      },
    },
    clock,
    store,
  } as unknown as NodeState;
  const noted: number[] = [];
  const settling = { note: (_key: string, { round }: { round: number }) => noted.push(round) };
  const reads = new RelaxedReads(state, {} as Reads, marks, settling as unknown as Settling);
  const read = async () =>
    (await reads.read(KEY, { requestId: 'test', level: 'eventual', timeoutMs: 100 })).value?.version;
  return { marks, database, noted, read };
}

describe('a relaxed read', () => {
  it('does not go back where the row is written anew while it is read from a slow database', () =>
    onAcceptor(async (acceptor) => {
      const { marks, database, noted, read } = readsOf(acceptor);
      await acceptor.answer(accept(3, null));
      marks.add(KEY, ballot(3));
      await acceptor.answer(accept(5, 3));
      marks.add(KEY, ballot(5));
      expect(await read()).toBe(5);
      database.isSlow = acceptor.answer(accept(7, 5)).then(silent);
      const meanwhile = read();
      await database.isSlow;
      expect([acceptor.durable()?.accepted?.ballot.round, marks.count]).toEqual([7, 0]);
      expect([await meanwhile, await read()]).toEqual([5, 5]);
      // What was accepted last and not heard to be chosen is looked into; what was seen of before is not.
      expect(noted).toEqual([7]);
    }));

  it('does not go back where something is accepted over what it has shown, by one who did not know that it was chosen', () =>
    onAcceptor(async (acceptor) => {
      const { marks, read } = readsOf(acceptor);
      await acceptor.answer(accept(3, null));
      marks.add(KEY, ballot(3));
      expect(await read()).toBe(3);
      await acceptor.answer(accept(5, null));
      expect([acceptor.durable()?.committed, await read()]).toEqual([undefined, 3]);
      await acceptor.answer(accept(7, 5));
      expect(await read()).toBe(5);
    }));
});
