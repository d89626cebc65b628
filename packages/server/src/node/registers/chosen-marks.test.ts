import { proposerIdFor } from '@meridian/core/coordination/paxos/ballot';
import type { Accept } from '@meridian/core/coordination/paxos/messages';
import type { RecordKey, StoreId } from '@meridian/core/ids';
import { decodeRegister, encodeRegister } from '@meridian/core/wire/register-codec';
import { describe, expect, it } from 'vitest';
import type { Log } from '../../ports/log.ts';
import { definitionKey } from '../catalog.ts';
import { type AcceptorAlone, KEY, onAcceptor } from './acceptors.testing.ts';
import type { Acceptors } from './acceptors.ts';
import { ChosenMarks } from './chosen-marks.ts';
import { writtenValue } from './registers.testing.ts';

const proposer = proposerIdFor('us-1.aaaa' as StoreId, 'life');
const ballot = (round: number) => ({ round, proposer });
const silent: Log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };
const accept = (round: number): Accept => ({
  kind: 'accept',
  ballot: ballot(round),
  value: writtenValue(round),
  next: null,
  members: [],
  chosen: null,
});

/** Marks of an acceptor whose rows tell them what they say themselves. */
function marksOf({ acceptors, clock, store, node }: AcceptorAlone) {
  const known: string[] = [];
  const marks = new ChosenMarks(acceptors, clock, silent, (key, { round }) =>
    known.push(`${key.split('\0')[1]}@${round}`),
  );
  store.onCommit(({ rows }) => {
    for (const { key, record } of rows) {
      const { accepted, committed } = decodeRegister(record);
      marks.onRow(key, accepted?.ballot, committed?.ballot);
    }
  });
  node.known = (key, register) => marks.known(key, register);
  marks.start();
  return { marks, known };
}

describe('what is known to be chosen', () => {
  it('is known at once, and written down in time, for a restart', () =>
    onAcceptor(async (acceptor) => {
      const { marks, known } = marksOf(acceptor);
      await acceptor.answer(accept(3));
      marks.add(KEY, ballot(3));
      expect([marks.has(KEY, ballot(3)), marks.has(KEY, ballot(2)), known]).toEqual([true, false, ['key@3']]);
      expect(acceptor.durable()?.committed).toBeUndefined();
      await acceptor.time.sleep(10_000);
      expect(acceptor.durable()?.committed?.ballot).toEqual(ballot(3));
      expect(marks.count).toBe(0);
      marks.stop();
    }));

  it('shows in a state and in its bytes, and of nothing that was accepted since', () =>
    onAcceptor(async (acceptor) => {
      const { marks } = marksOf(acceptor);
      await acceptor.answer(accept(3));
      const before = acceptor.durable();
      const bytes = acceptor.disk.durableRecord(KEY);
      if (!before || !bytes) throw new Error('nothing was accepted');
      expect(marks.known(KEY, before)).toBe(before);
      expect(marks.knownBytes(KEY, bytes)).toBe(bytes);
      marks.add(KEY, ballot(3));
      expect(marks.known(KEY, before).committed).toBe(before.accepted);
      expect(decodeRegister(marks.knownBytes(KEY, bytes)).committed).toEqual(before.accepted);
      await acceptor.answer(accept(5));
      const later = acceptor.durable();
      if (!later) throw new Error('nothing was accepted');
      expect(marks.known(KEY, later).committed?.ballot).toEqual(ballot(3));
      marks.stop();
    }));

  it('stays known when something else is accepted over it by one who does not know', () =>
    onAcceptor(async (acceptor) => {
      const { marks } = marksOf(acceptor);
      await acceptor.answer(accept(3));
      marks.add(KEY, ballot(3));
      const prepare = { kind: 'prepare', ballot: ballot(5), members: [] } as const;
      expect(await acceptor.answer(prepare)).toMatchObject({ kind: 'promised', committed: ballot(3) });
      expect(await acceptor.answer(accept(5))).toMatchObject({ kind: 'accepted' });
      expect(acceptor.durable()).toMatchObject({ accepted: { ballot: ballot(5) }, committed: { ballot: ballot(3) } });
      expect(marks.count).toBe(0);
      marks.stop();
    }));

  it('stays known when a comparison brings what was proposed over it and nobody has chosen', () =>
    onAcceptor(async (acceptor) => {
      const { marks } = marksOf(acceptor);
      await acceptor.answer(accept(3));
      marks.add(KEY, ballot(3));
      const proposed = { ballot: ballot(5), value: writtenValue(5) };
      const theirs = { promised: ballot(5), accepted: proposed, committed: undefined, isHearsay: false };
      const row = { key: KEY, bytes: encodeRegister(theirs) };
      await acceptor.replica.merge([row]);
      expect(acceptor.durable()).toMatchObject({ accepted: { ballot: ballot(5) }, committed: { ballot: ballot(3) } });
      expect(marks.count).toBe(0);
      expect((await acceptor.replica.merge([row])).changed).toEqual([]);
      marks.stop();
    }));

  it('stays known while news come of what was chosen since and has not arrived here', () =>
    onAcceptor(async (acceptor) => {
      const { marks } = marksOf(acceptor);
      await acceptor.answer(accept(3));
      for (const round of [3, 5, 7]) marks.add(KEY, ballot(round));
      const shown = () => {
        const state = acceptor.durable();
        return state && marks.known(KEY, state).committed?.ballot;
      };
      expect([marks.has(KEY, ballot(3)), shown()]).toEqual([true, ballot(3)]);
      // What was said last has passed the first by.
      await acceptor.answer(accept(7));
      expect([marks.has(KEY, ballot(3)), marks.has(KEY, ballot(7)), shown()]).toEqual([false, true, ballot(7)]);
      marks.add(KEY, ballot(9));
      expect(shown()).toEqual(ballot(7));
      await acceptor.time.sleep(10_000);
      expect([marks.count, acceptor.durable()?.committed?.ballot]).toEqual([0, ballot(7)]);
      marks.stop();
    }));

  it('stays known where what was accepted late was told of before, and more has been since', () =>
    onAcceptor(async (acceptor) => {
      const { marks } = marksOf(acceptor);
      await acceptor.answer(accept(2));
      marks.add(KEY, ballot(3));
      marks.add(KEY, ballot(5));
      await acceptor.answer(accept(5));
      marks.add(KEY, ballot(7));
      expect([marks.has(KEY, ballot(3)), marks.has(KEY, ballot(5))]).toEqual([false, true]);
      marks.stop();
    }));

  it('stays known once it was shown, though news of before had come late, and what was chosen since has not arrived', () =>
    onAcceptor(async (acceptor) => {
      const { marks } = marksOf(acceptor);
      await acceptor.answer(accept(5));
      marks.add(KEY, ballot(3));
      marks.add(KEY, ballot(5));
      expect(marks.has(KEY, ballot(5))).toBe(true);
      for (const round of [7, 9]) marks.add(KEY, ballot(round));
      expect(marks.has(KEY, ballot(5))).toBe(true);
      await acceptor.time.sleep(10_000);
      expect(acceptor.durable()?.committed?.ballot).toEqual(ballot(5));
      marks.stop();
    }));

  it('stays known once it was listed, likewise', () =>
    onAcceptor(async (acceptor) => {
      const { marks } = marksOf(acceptor);
      await acceptor.answer(accept(5));
      marks.add(KEY, ballot(3));
      marks.add(KEY, ballot(5));
      const bytes = acceptor.disk.durableRecord(KEY) ?? new Uint8Array();
      const listed = () => decodeRegister(marks.knownBytes(KEY, bytes)).committed?.ballot;
      expect(listed()).toEqual(ballot(5));
      marks.add(KEY, ballot(7));
      expect(listed()).toEqual(ballot(5));
      marks.stop();
    }));

  it('is not hidden by news of before that come late', () =>
    onAcceptor(async (acceptor) => {
      const { marks } = marksOf(acceptor);
      await acceptor.answer(accept(5));
      marks.add(KEY, ballot(5));
      marks.add(KEY, ballot(3));
      expect(marks.has(KEY, ballot(5))).toBe(true);
      await acceptor.time.sleep(10_000);
      expect(acceptor.durable()?.committed?.ballot).toEqual(ballot(5));
      marks.stop();
    }));

  it('needs no mark once a row says it', () =>
    onAcceptor(async (acceptor) => {
      const { marks } = marksOf(acceptor);
      await acceptor.answer(accept(3));
      marks.add(KEY, ballot(3));
      // The next change of the register brings it along.
      await acceptor.answer({ ...accept(5), chosen: ballot(3) });
      expect(marks.count).toBe(0);
      expect(acceptor.durable()?.committed?.ballot).toEqual(ballot(3));
      marks.stop();
    }));

  it('is written down at once of definitions, which nodes learn from rows', () =>
    onAcceptor(async (acceptor) => {
      const { marks } = marksOf(acceptor);
      const key = definitionKey('shop');
      await acceptor.answer(accept(3), key);
      marks.add(key, ballot(3));
      await acceptor.time.sleep(20);
      expect(acceptor.durable(key)?.committed?.ballot).toEqual(ballot(3));
      marks.stop();
    }));

  it('is written down once there is room on the disk again', () =>
    onAcceptor(async (acceptor) => {
      const { marks } = marksOf(acceptor);
      await acceptor.answer(accept(3));
      marks.add(KEY, ballot(3));
      acceptor.disk.isFull = true;
      await acceptor.time.sleep(20_000);
      expect(marks.has(KEY, ballot(3))).toBe(true);
      acceptor.disk.isFull = false;
      await acceptor.time.sleep(20_000);
      expect(acceptor.durable()?.committed?.ballot).toEqual(ballot(3));
      expect(marks.count).toBe(0);
      marks.stop();
    }));

  it('is kept of so many registers, however many there are', () =>
    onAcceptor(async (acceptor) => {
      const { marks } = marksOf(acceptor);
      for (let at = 0; at < 40_000; at++) marks.add(`${KEY}-${at}` as RecordKey, ballot(1));
      await acceptor.time.sleep(1_000);
      expect(marks.count).toBeLessThanOrEqual(32_768);
      await acceptor.time.sleep(60_000);
      expect(marks.count).toBe(0);
      marks.stop();
    }));

  it('is let go of, the oldest first, where the store takes nothing, which is asked no more often for it', () =>
    onAcceptor(async ({ time, clock }) => {
      let asked = 0;
      const mark = () => {
        asked += 1;
        return Promise.reject(new Error('the database is away'));
      };
      const letGo: string[] = [];
      const onMissed = (key: RecordKey) => letGo.push(key);
      const marks = new ChosenMarks({ mark } as unknown as Acceptors, clock, silent, () => undefined, onMissed);
      marks.start();
      for (let at = 0; at < 70_000; at++) marks.add(`${KEY}-${at}` as RecordKey, ballot(1));
      expect(marks.count).toBeLessThanOrEqual(65_536);
      await time.sleep(2_000);
      expect(asked).toBeLessThan(20);
      // They are settled anew once that is possible.
      expect([letGo.length, letGo[0]]).toEqual([70_000 - marks.count, `${KEY}-0`]);
      marks.stop();
    }));

  it('is not asked for or kept after a stop', () =>
    onAcceptor(async (acceptor) => {
      const { marks } = marksOf(acceptor);
      await acceptor.answer(accept(3));
      marks.stop();
      marks.add(KEY, ballot(3));
      expect(marks.count).toBe(0);
      await acceptor.time.sleep(10_000);
      expect(acceptor.durable()?.committed).toBeUndefined();
    }));
});
