import { proposerIdFor } from '@meridian/core/coordination/paxos/ballot';
import type { Proposal, RegisterState } from '@meridian/core/coordination/paxos/register';
import type { StoreId } from '@meridian/core/ids';
import { REQUEST } from '@meridian/core/wire/messages';
import { decodeRegister, encodeRegister } from '@meridian/core/wire/register-codec';
import { describe, expect, it } from 'vitest';
import type { Process } from '../../../../../test/simulation/member.ts';
import { codeOf, type TestCluster, THREE_REGIONS } from '../cluster.testing.ts';
import { isAccept, isAnswer, isNews } from '../register-messages.testing.ts';
import { EXACT, onStrongCluster, type StrongClients } from '../strong.testing.ts';

/** Three far replicas answer together: of five, those three are a majority. */
const WIDE = { us: 1, eu: 1, ap: 3 };
const NODES = ['us-1', 'eu-1', 'ap-1'] as const;

/** us-1 dies with a change on its way: `reached` have accepted it, and nobody was told whether it was chosen. */
async function dieProposing(
  clients: StrongClients,
  cluster: TestCluster,
  key: string,
  value: string,
  reached: readonly string[],
): Promise<void> {
  cluster.passes = (from, to, message) => {
    if (from === 'us-1' && isAccept(message)) return reached.includes(to);
    return !(to === 'us-1' && isAnswer(message) && reached.length > 0) && !(from === 'us-1' && isNews(message));
  };
  const change = clients.put('us-1', key, value, undefined, { timeoutMs: 200 });
  expect(await codeOf(change)).toBe('OUTCOME_UNKNOWN');
  cluster.crash('us-1');
  cluster.passes = () => true;
}

/** us-1, whose disk is full, has a change chosen by the two others. */
async function chooseWithoutOwn(clients: StrongClients, cluster: TestCluster): Promise<void> {
  await clients.put('us-1', 'key', 'one');
  await cluster.settle();
  cluster.disk('us-1').isFull = true;
  await clients.put('us-1', 'key', 'two');
}

/** us-1 is started again, with room on its disk. */
async function startWithRoom(cluster: TestCluster): Promise<void> {
  cluster.crash('us-1');
  cluster.disk('us-1').isFull = false;
  await cluster.start('us-1');
  await cluster.settle();
  await cluster.settle();
}

/** What each of the nodes holds of the key, on its disk. */
function heldBy(cluster: TestCluster, node: string, key: string) {
  for (const [recordKey, bytes] of cluster.member(node).disk.durableRows())
    if (recordKey.startsWith(`${EXACT}.`) && recordKey.endsWith(`\0${key}`)) return decodeRegister(bytes);
  return undefined;
}

/** Puts a row there as it might be. */
async function change(cluster: TestCluster, node: string, key: string, state: RegisterState): Promise<void> {
  const { store } = cluster.member(node).process as Process;
  const rows = [...cluster.disk(node).durableRows()].map(([recordKey]) => recordKey);
  const keys = rows.filter((one) => one.startsWith(`${EXACT}.`) && one.endsWith(`\0${key}`));
  const writes = keys.map((one) => ({ key: one, record: encodeRegister(state) }));
  await store.update(keys, () => ({ writes, result: undefined }));
}

describe('what a dead proposer has left', () => {
  it('is settled without anybody asking for it, and is the same at all', () =>
    onStrongCluster(THREE_REGIONS, {}, async (clients, cluster) => {
      await clients.put('us-1', 'key', 'one');
      await cluster.settle();
      await dieProposing(clients, cluster, 'key', 'two', ['eu-1']);
      for (const node of ['eu-1', 'ap-1']) expect(await clients.relaxed(node, 'key')).toBe('one');
      expect(cluster.node('eu-1').figures().unsettled).toBe(1);
      await cluster.settle();
      // Chosen on us-1 and eu-1, though us-1 never heard of it.
      for (const node of ['eu-1', 'ap-1']) expect(await clients.relaxed(node, 'key')).toBe('two');
      expect(cluster.node('eu-1').figures().unsettled).toBe(0);
      await cluster.start('us-1');
      await cluster.settle();
      expect(await clients.relaxed('us-1', 'key')).toBe('two');
      await cluster.settle();
      const committed = NODES.map((node) => heldBy(cluster, node, 'key')?.committed?.value?.version);
      expect(committed).toEqual([2, 2, 2]);
    }));

  it('is settled when it comes back with what no other has', () =>
    onStrongCluster(THREE_REGIONS, {}, async (clients, cluster) => {
      await clients.put('us-1', 'key', 'one');
      await cluster.settle();
      await dieProposing(clients, cluster, 'key', 'two', []);
      await cluster.settle();
      expect(await clients.get('eu-1', 'key')).toBe('one');
      await cluster.start('us-1');
      await cluster.settle();
      await cluster.settle();
      expect(cluster.node('us-1').figures().unsettled).toBe(0);
      const chosen = await clients.get('ap-1', 'key');
      expect(['one', 'two']).toContain(chosen);
      await cluster.settle();
      for (const node of NODES) expect(await clients.relaxed(node, 'key')).toBe(chosen);
    }));

  it('is found by a look through the disk where the one who has it was started again', () =>
    onStrongCluster(THREE_REGIONS, {}, async (clients, cluster) => {
      for (let at = 0; at < 20; at++) await clients.put('us-1', `other-${at}`, 'settled');
      await clients.put('us-1', 'key', 'one');
      await cluster.settle();
      await dieProposing(clients, cluster, 'key', 'two', ['eu-1']);
      cluster.crash('eu-1');
      await cluster.start('eu-1');
      expect(cluster.node('eu-1').figures().unsettled).toBe(0);
      await cluster.settle();
      for (const node of ['eu-1', 'ap-1']) expect(await clients.relaxed(node, 'key')).toBe('two');
    }));

  it('waits while there is no majority, and is settled once there is one', () =>
    onStrongCluster(THREE_REGIONS, {}, async (clients, cluster) => {
      await clients.put('us-1', 'key', 'one');
      await cluster.settle();
      await dieProposing(clients, cluster, 'key', 'two', ['eu-1']);
      cluster.split('eu-1', 'ap-1');
      await cluster.settle();
      expect(await clients.relaxed('eu-1', 'key')).toBe('one');
      expect(cluster.node('eu-1').figures().unsettled).toBe(1);
      cluster.heal();
      await cluster.settle();
      await cluster.settle();
      for (const node of ['eu-1', 'ap-1']) expect(await clients.relaxed(node, 'key')).toBe('two');
    }));
});

describe('what a proposer could not take itself', () => {
  it('is brought to it by another, though it died before it could see to it', () =>
    onStrongCluster(THREE_REGIONS, {}, async (clients, cluster) => {
      await chooseWithoutOwn(clients, cluster);
      await cluster.time.sleep(100);
      await startWithRoom(cluster);
      for (const node of NODES) expect(heldBy(cluster, node, 'key')?.committed?.value?.version).toBe(2);
    }));
});

describe('what a reader has told to be chosen, and its proposer does not have', () => {
  it('is brought to the proposer, though all others know it', () =>
    onStrongCluster(THREE_REGIONS, {}, async (clients, cluster) => {
      await chooseWithoutOwn(clients, cluster);
      cluster.passes = (_from, to, message) => !(to === 'us-1' && isNews(message));
      expect(await clients.get('eu-1', 'key')).toBe('two');
      await cluster.time.sleep(500);
      for (const node of ['eu-1', 'ap-1']) expect(await clients.relaxed(node, 'key')).toBe('two');
      await startWithRoom(cluster);
      for (const node of NODES) expect(heldBy(cluster, node, 'key')?.committed?.value?.version).toBe(2);
    }));
});

describe('a store that has accepted what was proposed once more after it was chosen, and was chosen by nobody', () => {
  it('comes to know what was chosen, though it had proposed it itself', () =>
    onStrongCluster(WIDE, { placement: WIDE }, async (clients, cluster) => {
      await clients.put('us-1', 'key', 'one');
      await cluster.settle();
      const one = heldBy(cluster, 'us-1', 'key') as RegisterState;
      await clients.put('us-1', 'key', 'two');
      await cluster.settle();
      const two = heldBy(cluster, 'eu-1', 'key')?.accepted as Proposal;
      // What eu-1 proposed when nobody had told it yet that this was chosen, and reached us-1 only, which had lost its mark.
      const proposer = proposerIdFor(cluster.storeId('eu-1') as StoreId, 'former');
      const ballot = { round: two.ballot.round + 2, proposer };
      await change(cluster, 'us-1', 'key', {
        promised: ballot,
        accepted: { ballot, value: two.value },
        committed: one.committed,
        isHearsay: false,
      });
      expect(await clients.relaxed('us-1', 'key')).toBe('one');
      await cluster.settle();
      await cluster.settle();
      for (const node of [...NODES, 'ap-2', 'ap-3']) expect(await clients.relaxed(node, 'key')).toBe('two');
      expect(heldBy(cluster, 'us-1', 'key')?.committed?.value?.version).toBe(2);
    }));
});

describe('a register whose proposer lives', () => {
  it('is left in peace where a reader has told of it before its proposer', () =>
    onStrongCluster(THREE_REGIONS, {}, async (clients, cluster) => {
      let news: (() => void)[] = [];
      const { network } = cluster.simulated;
      const send = network.send.bind(network);
      network.send = (from, to, message) => {
        if (from !== 'us-1' || !isNews(message)) return send(from, to, message);
        news.push(() => send(from, to, message));
        return true;
      };
      await clients.put('us-1', 'key', 'value');
      expect(await clients.get('eu-1', 'key')).toBe('value');
      await cluster.time.sleep(500);
      expect(news.length).toBeGreaterThan(0);
      expect(cluster.node('ap-1').figures().unsettled).toBe(1);
      for (const late of news) late();
      news = [];
      await cluster.time.sleep(500);
      for (const node of NODES) expect(cluster.node(node).figures().unsettled).toBe(0);
    }));

  it('is left in peace: what was told needs no settling', () =>
    onStrongCluster(THREE_REGIONS, {}, async (clients, cluster) => {
      for (let at = 0; at < 5; at++) await clients.put('us-1', `key-${at}`, 'value');
      await cluster.settle();
      let questions = 0;
      cluster.passes = (_from, _to, message) => {
        if (message[0] === REQUEST && message[2] === 'settle') questions += 1;
        return true;
      };
      await cluster.settle();
      expect(questions).toBe(0);
      for (const node of NODES) expect(cluster.node(node).figures().unsettled).toBe(0);
    }));
});
