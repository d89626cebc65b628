import { type ProposerId, ZERO_BALLOT } from '@meridian/core/coordination/paxos/ballot';
import type { Held, Member } from '@meridian/core/coordination/paxos/messages';
import type { NodeName, RegionName, StoreId, StoreName } from '@meridian/core/ids';
import { describe, expect, it } from 'vitest';
import type { Clock } from '../../ports/clock.ts';
import { NO_BUGS } from '../planted-bugs.ts';
import { OperationRun, type RunSetting } from './operation-run.ts';

const member = (name: string): Member => ({ name: name as StoreName, id: `${name}.id` as StoreId });
const A = member('us-1');
const B = member('eu-1');
const C = member('ap-1');
const MEMBERS = [A, B, C];
const PROPOSER = { id: 'us-1.id/life' as ProposerId, required: 2 };
const ACCEPTED = { ballot: { round: 3, proposer: 'eu-1.id/life' as ProposerId }, value: null };

const empty: Held = {
  kind: 'held',
  accepted: undefined,
  isHearsay: false,
  committed: null,
  promised: ZERO_BALLOT,
  wallMs: 0,
};
const accepted: Held = { ...empty, accepted: ACCEPTED, promised: ACCEPTED.ballot };

/** Time stands still: what is asked without a timer is asked because of an answer. */
const stillClock: Clock = {
  wallMs: () => 0,
  monotonicMs: () => 0,
  timer: () => () => undefined,
  soon: () => undefined,
};

/** A read that asks A and B first; what was asked of whom, and what came of it. */
async function read(answers: Readonly<Record<string, Held | 'away'>>) {
  const asked: string[] = [];
  const setting: RunSetting = {
    clock: stillClock,
    random: { uint32: () => 0, id: () => '' },
    self: A.name,
    bugs: NO_BUGS,
    ask: ({ name }, _question, _timeoutMs, onReply) => {
      asked.push(name);
      const answer = answers[name] as Held | 'away';
      queueMicrotask(() => onReply(answer === 'away' ? undefined : answer));
    },
    attempt: (round) => ({ round, wallMs: 0, members: MEMBERS }),
    patienceMs: () => 100,
    enoughOf: (members) => members.slice(0, 2),
    farthestMs: () => 1,
    live: () => ({ reached: 3, required: 2, missingRegions: [] }),
    hopOf: (name, round, atMs, ms) => ({
      node: name as string as NodeName,
      region: 'us' as RegionName,
      round,
      atMs,
      ms,
    }),
  };
  const outcome = await OperationRun.read(setting, PROPOSER, 1_000);
  return { asked, counts: [outcome.asked, outcome.answered] };
}

describe('a read that needs two of three near replicas', () => {
  it('asks no third where two agree', async () => {
    expect(await read({ 'us-1': accepted, 'eu-1': accepted, 'ap-1': accepted })).toEqual({
      asked: ['us-1', 'eu-1'],
      counts: [2, 2],
    });
  });

  it('asks the third as soon as two differ, and counts it', async () => {
    expect(await read({ 'us-1': empty, 'eu-1': accepted, 'ap-1': accepted })).toEqual({
      asked: ['us-1', 'eu-1', 'ap-1'],
      counts: [3, 3],
    });
  });

  it('asks the third as soon as one fails', async () => {
    expect(await read({ 'us-1': accepted, 'eu-1': 'away', 'ap-1': accepted })).toEqual({
      asked: ['us-1', 'eu-1', 'ap-1'],
      counts: [3, 2],
    });
  });
});
