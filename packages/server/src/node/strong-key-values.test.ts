import { MERGE, REQUEST } from '@meridian/core/wire/messages';
import { describe, expect, it } from 'vitest';
import { codeOf, optionsOf, type TestCluster, THREE_REGIONS, valuesOf } from './cluster.testing.ts';
import { isAccept, isAnswer, isNews, isPrepare } from './register-messages.testing.ts';
import type { WriteAnswer } from './service.ts';
import { EXACT, matching, onStrongCluster, type StrongClients, strongOptions } from './strong.testing.ts';

const NODES = ['us-1', 'eu-1', 'ap-1'] as const;
const inTurn = (at: number): string => NODES[at % NODES.length] as string;

/** A change of `key` at us-1 of which every word is lost but those to its own store. The cluster goes on without it. */
async function acceptedAtUsOnly(
  clients: StrongClients,
  cluster: TestCluster,
  key: string,
  value: string,
): Promise<void> {
  cluster.passes = (from, _to, message) => !(from === 'us-1' && isAccept(message));
  expect(await codeOf(clients.put('us-1', key, value, undefined, { timeoutMs: 300 }))).toBe('OUTCOME_UNKNOWN');
  cluster.passes = () => true;
}

describe('a key of a strong namespace', () => {
  it('is created, replaced and deleted from any region, each seen by the next', () =>
    onStrongCluster(THREE_REGIONS, {}, async (clients) => {
      for (let turn = 0; turn < 6; turn++) {
        expect((await clients.create(inTurn(turn), 'key', `created ${turn}`)).existed).toBe(false);
        expect(await codeOf(clients.create(inTurn(turn + 1), 'key', 'again'))).toBe('KEY_EXISTS');
        expect(await clients.get(inTurn(turn + 2), 'key')).toBe(`created ${turn}`);
        expect((await clients.put(inTurn(turn + 1), 'key', `replaced ${turn}`)).existed).toBe(true);
        expect(await clients.get(inTurn(turn), 'key')).toBe(`replaced ${turn}`);
        expect((await clients.delete(inTurn(turn + 2), 'key')).existed).toBe(true);
        expect(await clients.get(inTurn(turn), 'key')).toBeUndefined();
        expect((await clients.delete(inTurn(turn + 1), 'key')).existed).toBe(false);
      }
    }));

  it('is replaced and deleted under If-Match by who has its last tag, wherever that is', () =>
    onStrongCluster(THREE_REGIONS, {}, async (clients) => {
      const first = await clients.put('us-1', 'key', 'one');
      expect((await clients.read('ap-1', 'key')).head.etag).toBe(first.head.etag);
      const second = await clients.put('eu-1', 'key', 'two', matching(first));
      expect(second.head.etag).not.toBe(first.head.etag);
      for (const node of NODES)
        expect(await codeOf(clients.put(node, 'key', 'no', matching(first)))).toBe('CONDITION_FAILED');
      expect(await codeOf(clients.delete('us-1', 'key', matching(first)))).toBe('CONDITION_FAILED');
      expect((await clients.delete('ap-1', 'key', matching(second))).existed).toBe(true);
      // The tag of the absence is no tag of a value.
      const gone = await clients.read('us-1', 'key');
      expect(await codeOf(clients.put('us-1', 'key', 'no', matching(gone)))).toBe('CONDITION_FAILED');
      expect(await codeOf(clients.put('us-1', 'key', 'no', { ifMatch: '*' }))).toBe('CONDITION_FAILED');
      const again = await clients.put('eu-1', 'key', 'three', { ifNoneMatch: '*' });
      expect(await codeOf(clients.put('us-1', 'key', 'no', { ifNoneMatch: '*' }))).toBe('CONDITION_FAILED');
      // A value that is made anew has none of the tags that were there before.
      expect(new Set([first, second, gone, again].map(({ head }) => head.etag)).size).toBe(4);
      expect(await clients.get('ap-1', 'key')).toBe('three');
    }));

  it('is written above what a context has seen, and above nothing else', () =>
    onStrongCluster(THREE_REGIONS, {}, async (clients) => {
      const { head } = await clients.read('us-1', 'key');
      const first = await clients.put('eu-1', 'key', 'one', undefined, { context: head.context });
      expect(await codeOf(clients.put('ap-1', 'key', 'two', undefined, { context: head.context }))).toBe(
        'CONDITION_FAILED',
      );
      await clients.put('ap-1', 'key', 'two', undefined, { context: first.head.context });
      expect(await clients.get('us-1', 'key')).toBe('two');
    }));

  it.each([
    ['under idempotency keys', true],
    ['without them', false],
  ])('counts what ten proposers add to it at once, each addition once, %s', (_how, isNamed) =>
    onStrongCluster({ us: 4, eu: 3, ap: 3 }, { placement: { us: 4, eu: 3, ap: 3 } }, async (clients, cluster) => {
      const nodes = cluster.simulated.members.map(({ name }) => name as string);
      expect(nodes).toHaveLength(10);
      const more = { timeoutMs: 20_000 };
      await clients.put('us-1', 'counter', '0');
      const codes: string[] = [];
      const count = (code: string) => codes.filter((one) => one === code).length;
      const addTwice = async (node: string): Promise<void> => {
        for (let added = 0; added < 2; ) {
          const read = await clients.read(node, 'counter', more);
          const value = Number(new TextDecoder().decode(read.values[0]?.body));
          const named = isNamed ? { idempotencyKey: `${node} ${codes.length}` } : {};
          const conditions = { ...matching(read), ...named };
          const code = await codeOf(clients.put(node, 'counter', String(value + 1), conditions, more));
          codes.push(code);
          if (code === 'no error') added += 1;
        }
      };
      await Promise.all(nodes.map(addTwice));
      expect(count('CONDITION_FAILED')).toBeGreaterThan(0);
      // Who was long in doubt, while many others wrote, cannot find out what became of a change that has no name.
      const unknown = isNamed ? 0 : count('OUTCOME_UNKNOWN');
      expect(codes).toHaveLength(20 + count('CONDITION_FAILED') + unknown);
      const value = Number(await clients.get('us-2', 'counter'));
      expect(value).toBeGreaterThanOrEqual(20);
      expect(value).toBeLessThanOrEqual(20 + unknown);
      for (const node of ['eu-3', 'ap-1']) expect(await clients.get(node, 'counter')).toBe(String(value));
    }),
  );

  it('has one winner of ten that create it at once', () =>
    onStrongCluster({ us: 4, eu: 3, ap: 3 }, { placement: { us: 4, eu: 3, ap: 3 } }, async (clients, cluster) => {
      const nodes = cluster.simulated.members.map(({ name }) => name as string);
      const more = { timeoutMs: 20_000 };
      const codes = await Promise.all(
        nodes.map((node) => codeOf(clients.put(node, 'lock', node, { ifNoneMatch: '*' }, more))),
      );
      const winner = nodes[codes.indexOf('no error')];
      expect(codes.filter((code) => code === 'no error')).toHaveLength(1);
      expect(codes.filter((code) => code === 'CONDITION_FAILED')).toHaveLength(9);
      for (const node of nodes) expect(await clients.get(node, 'lock')).toBe(winner);
    }));

  it('shows what a failed condition has found to all who read after it', () =>
    onStrongCluster(THREE_REGIONS, {}, async (clients, cluster) => {
      const first = await clients.put('us-1', 'key', 'one');
      await acceptedAtUsOnly(clients, cluster, 'key', 'two');
      // eu-1 hears us-1, and not ap-1: it finds what us-1 alone has accepted.
      cluster.split('eu-1', 'ap-1');
      expect(await codeOf(clients.put('eu-1', 'key', 'three', matching(first)))).toBe('CONDITION_FAILED');
      cluster.heal();
      cluster.crash('us-1');
      await cluster.settle();
      expect(await clients.get('ap-1', 'key')).toBe('two');
    }));

  it('shows what a read has found to all who read after it', () =>
    onStrongCluster(THREE_REGIONS, {}, async (clients, cluster) => {
      await clients.put('us-1', 'key', 'one');
      await acceptedAtUsOnly(clients, cluster, 'key', 'two');
      cluster.split('eu-1', 'ap-1');
      expect(await clients.get('eu-1', 'key')).toBe('two');
      cluster.heal();
      cluster.crash('us-1');
      await cluster.settle();
      expect(await clients.get('ap-1', 'key')).toBe('two');
    }));

  it('takes one round trip where the same node wrote last, and two where another did', () =>
    onStrongCluster(THREE_REGIONS, {}, async (clients) => {
      const rounds = async (write: Promise<WriteAnswer>): Promise<number> => (await write).head.receipt.rounds;
      expect(await rounds(clients.put('us-1', 'key', '1'))).toBe(2);
      expect(await rounds(clients.put('us-1', 'key', '2'))).toBe(1);
      expect(await rounds(clients.put('us-1', 'key', '3', { ifMatch: '*' }))).toBe(1);
      expect(await rounds(clients.put('ap-1', 'key', '4'))).toBe(2);
      expect((await clients.read('eu-1', 'key')).head.receipt.rounds).toBe(1);
      expect(await rounds(clients.put('ap-1', 'key', '5'))).toBe(1);
    }));
});

describe('a change under an idempotency key', () => {
  const ORDER = { idempotencyKey: 'order-7' } as const;

  it('is applied once, though its answer was lost, its node died, and it was sent again through others', () =>
    onStrongCluster(THREE_REGIONS, {}, async (clients, cluster) => {
      await clients.put('us-1', 'key', 'before');
      let isProposed = false;
      cluster.passes = (from, to, message) => {
        if (from === 'us-1' && isAccept(message)) isProposed = true;
        return !(isProposed && to === 'us-1' && isAnswer(message));
      };
      const sent = clients.put('us-1', 'key', 'ordered', ORDER, { timeoutMs: 300 });
      expect(await codeOf(sent)).toBe('OUTCOME_UNKNOWN');
      cluster.crash('us-1');
      cluster.passes = () => true;
      const again = await clients.put('eu-1', 'key', 'ordered', ORDER);
      expect(again.existed).toBe(true);
      const other = await clients.put('ap-1', 'key', 'after');
      await cluster.start('us-1');
      await cluster.settle();
      for (const node of NODES) {
        const repeated = await clients.put(node, 'key', 'ordered', ORDER);
        expect([repeated.head.etag, repeated.timeMs, repeated.existed]).toEqual([again.head.etag, again.timeMs, true]);
      }
      expect((await clients.read('eu-1', 'key')).head.etag).toBe(other.head.etag);
      expect(await clients.get('us-1', 'key')).toBe('after');
    }));

  it('is applied once, though it is sent through all nodes at once', () =>
    onStrongCluster(THREE_REGIONS, {}, async (clients) => {
      const first = await clients.put('eu-1', 'key', 'before');
      const answers = await Promise.all(
        NODES.map((node) => clients.put(node, 'key', 'ordered', { ...ORDER, ...matching(first) })),
      );
      expect(new Set(answers.map(({ head }) => head.etag)).size).toBe(1);
      expect((await clients.read('us-1', 'key')).head.etag).toBe(answers[0]?.head.etag);
    }));

  it('answers a create and a delete again as they were answered', () =>
    onStrongCluster(THREE_REGIONS, {}, async (clients) => {
      const made = await clients.create('us-1', 'key', 'value', ORDER);
      const madeAgain = await clients.create('eu-1', 'key', 'value', ORDER);
      expect([madeAgain.head.etag, madeAgain.existed]).toEqual([made.head.etag, false]);
      const key = { idempotencyKey: 'cancel-7' };
      expect((await clients.delete('ap-1', 'key', key)).existed).toBe(true);
      await clients.put('us-1', 'key', 'new');
      expect((await clients.delete('eu-1', 'key', key)).existed).toBe(true);
      expect(await clients.get('eu-1', 'key')).toBe('new');
    }));

  it('is told from any other change under the same key, which changes nothing and is refused at every node', () =>
    onStrongCluster({ ...THREE_REGIONS, sa: 1 }, { placement: { us: 1, eu: 1, ap: 1 } }, async (clients) => {
      await clients.put('us-1', 'key', 'before');
      const made = await clients.put('eu-1', 'key', 'ordered', ORDER);
      const html = { body: new TextEncoder().encode('ordered'), contentType: 'text/html' };
      const others: Readonly<Record<string, (node: string) => Promise<unknown>>> = {
        'another value': (node) => clients.put(node, 'key', 'other', ORDER),
        'another type': (node) =>
          clients.cluster.node(node).put(EXACT, 'key', html, undefined, strongOptions({ conditions: ORDER })),
        'another time to live': (node) => clients.put(node, 'key', 'ordered', ORDER, { ttlSeconds: 60 }),
        'a condition that holds': (node) => clients.put(node, 'key', 'ordered', { ...ORDER, ...matching(made) }),
        'one that does not': (node) => clients.put(node, 'key', 'ordered', { ...ORDER, ifNoneMatch: '*' }),
        'a create': (node) => clients.create(node, 'key', 'ordered', ORDER),
        'a delete': (node) => clients.delete(node, 'key', ORDER),
      };
      for (const node of [...NODES, 'sa-1'])
        for (const [what, change] of Object.entries(others))
          expect(await codeOf(change(node)), `${what} at ${node}`).toBe('IDEMPOTENCY_KEY_REUSED');
      const after = await clients.read('ap-1', 'key');
      expect([after.head.etag, valuesOf(after)]).toEqual([made.head.etag, ['ordered']]);
      expect((await clients.put('ap-1', 'key', 'ordered', ORDER)).head.etag).toBe(made.head.etag);
    }));

  it('that deleted does not answer for a put', () =>
    onStrongCluster(THREE_REGIONS, {}, async (clients) => {
      await clients.put('us-1', 'key', 'before');
      await clients.delete('us-1', 'key', ORDER);
      expect(await codeOf(clients.put('us-1', 'key', 'fresh', ORDER))).toBe('IDEMPOTENCY_KEY_REUSED');
      expect(await clients.get('us-1', 'key')).toBeUndefined();
      expect((await clients.delete('eu-1', 'key', ORDER)).existed).toBe(true);
    }));

  it('is refused at one moment: what the refusal has found is seen by all who read after it', () =>
    onStrongCluster(THREE_REGIONS, {}, async (clients, cluster) => {
      await clients.put('us-1', 'key', 'one', ORDER);
      await acceptedAtUsOnly(clients, cluster, 'key', 'two');
      // eu-1 hears us-1, and not ap-1: it finds what us-1 alone has accepted.
      cluster.split('eu-1', 'ap-1');
      expect(await codeOf(clients.put('eu-1', 'key', 'three', ORDER))).toBe('IDEMPOTENCY_KEY_REUSED');
      cluster.heal();
      cluster.crash('us-1');
      await cluster.settle();
      expect(await clients.get('ap-1', 'key')).toBe('two');
    }));

  it('is answered again with the region that wrote, whoever answers and whoever has written since', () =>
    onStrongCluster({ ...THREE_REGIONS, sa: 1 }, { placement: { us: 1, eu: 1, ap: 1 } }, async (clients) => {
      expect((await clients.put('eu-1', 'key', 'ordered', ORDER)).region).toBe('eu');
      for (const node of [...NODES, 'sa-1'])
        expect((await clients.put(node, 'key', 'ordered', ORDER)).region).toBe('eu');
      expect((await clients.put('ap-1', 'key', 'after')).region).toBe('ap');
      for (const node of [...NODES, 'sa-1'])
        expect((await clients.put(node, 'key', 'ordered', ORDER)).region).toBe('eu');
    }));

  it('is another on another key, and without one every change stands for itself', () =>
    onStrongCluster(THREE_REGIONS, {}, async (clients) => {
      await clients.put('us-1', 'left', 'one', ORDER);
      await clients.put('us-1', 'right', 'two', ORDER);
      expect([await clients.get('eu-1', 'left'), await clients.get('eu-1', 'right')]).toEqual(['one', 'two']);
      const first = await clients.put('us-1', 'left', 'same');
      const second = await clients.put('us-1', 'left', 'same');
      expect(first.head.etag).not.toBe(second.head.etag);
    }));
});

describe('a change without one', () => {
  it('is applied once, though its proposer could not know whether its first attempt was taken', () =>
    onStrongCluster(THREE_REGIONS, {}, async (clients, cluster) => {
      const first = await clients.put('us-1', 'key', 'before');
      let lost = 0;
      // The answers of the first attempt to accept are lost; it tries again by itself.
      cluster.passes = (_from, to, message) => !(to === 'us-1' && isAnswer(message) && ++lost <= 2);
      const second = await clients.put('us-1', 'key', 'after', matching(first));
      expect(lost).toBeGreaterThan(2);
      const versions = [first, second].map(({ head }) => Number(/^v(\d+)\./.exec(head.etag)?.[1]));
      expect(versions).toEqual([1, 2]);
      expect((await clients.read('eu-1', 'key')).head.etag).toBe(second.head.etag);
    }));
});

describe('a value with a time to live', () => {
  it('is gone for all once it is gone for one, however far their clocks are apart', () =>
    onStrongCluster(THREE_REGIONS, {}, async (clients, cluster) => {
      cluster.simulated.jumpClock(cluster.member('us-1'), 4_000);
      cluster.simulated.jumpClock(cluster.member('ap-1'), -4_000);
      await clients.put('eu-1', 'lock', 'held', undefined, { ttlSeconds: 6 });
      const seen: boolean[] = [];
      for (let at = 0; at < 60; at++) {
        seen.push((await clients.get(inTurn(at), 'lock')) !== undefined);
        await cluster.time.sleep(200);
      }
      const goneAt = seen.indexOf(false);
      expect(goneAt).toBeGreaterThan(0);
      expect(seen.slice(goneAt)).not.toContain(true);
    }));

  it('can be created again by one node as soon as any node has said that it is gone, and not before', () =>
    onStrongCluster(THREE_REGIONS, {}, async (clients, cluster) => {
      cluster.simulated.jumpClock(cluster.member('ap-1'), 3_600_000);
      await clients.put('us-1', 'lock', 'held', undefined, { ttlSeconds: 5 });
      // Its clock alone says that the value has expired.
      expect(await codeOf(clients.put('ap-1', 'lock', 'stolen', { ifNoneMatch: '*' }))).toBe('CONDITION_FAILED');
      expect(await clients.get('ap-1', 'lock')).toBe('held');
      await cluster.time.sleep(6_000);
      await clients.put('us-1', 'lock', 'mine', { ifNoneMatch: '*' });
      expect(await clients.get('ap-1', 'lock')).toBe('mine');
    }));

  it('keeps its tag and its time however often it is read', () =>
    onStrongCluster(THREE_REGIONS, {}, async (clients) => {
      const { head, expiresAtMs } = await clients.put('us-1', 'lock', 'held', undefined, { ttlSeconds: 60 });
      for (const node of NODES) {
        const read = await clients.read(node, 'lock');
        expect([read.head.etag, read.values[0]?.expiresAtMs]).toEqual([head.etag, expiresAtMs]);
      }
    }));
});

describe('a relaxed read', () => {
  it('shows nothing that was only accepted, at any replica, until it is known to be chosen', () =>
    onStrongCluster(THREE_REGIONS, {}, async (clients, cluster) => {
      await clients.put('us-1', 'key', 'one');
      await cluster.settle();
      await acceptedAtUsOnly(clients, cluster, 'key', 'two');
      for (const node of NODES) expect(await clients.relaxed(node, 'key')).toBe('one');
      // Whatever a strong read makes of it: in the end all show what is chosen.
      expect(['one', 'two']).toContain(await clients.get('us-1', 'key'));
      await cluster.settle();
      const chosen = await clients.get('eu-1', 'key');
      for (const node of NODES) expect(await clients.relaxed(node, 'key')).toBe(chosen);
    }));

  it('is answered by the replica here alone, and says by how much it may be behind', () =>
    onStrongCluster(THREE_REGIONS, {}, async (clients, cluster) => {
      await clients.put('us-1', 'key', 'one');
      await cluster.settle();
      cluster.crash('us-1');
      cluster.crash('eu-1');
      await cluster.time.sleep(3_000);
      const { head, values } = await clients.read('ap-1', 'key', { level: 'eventual', isDefaultLevel: false });
      expect(values).toHaveLength(1);
      expect(head.receipt).toMatchObject({ level: 'eventual', node: 'ap-1', rounds: 0, hops: [] });
      expect(head.receipt.stalenessMs).toBeGreaterThanOrEqual(3_000);
      expect(await codeOf(clients.get('ap-1', 'key'))).toBe('QUORUM_UNAVAILABLE');
      for (const level of ['session', 'quorum', 'strong'] as const)
        expect(await codeOf(clients.get('ap-1', 'key', { level, isDefaultLevel: false }))).toBe('QUORUM_UNAVAILABLE');
    }));

  it('learns within the delay of the link what another region has written', () =>
    onStrongCluster(THREE_REGIONS, {}, async (clients, cluster) => {
      await clients.put('us-1', 'key', 'one');
      // One way to ap-1 takes 50 ms; what is told together is told within some milliseconds.
      await cluster.time.sleep(80);
      for (const node of NODES) expect(await clients.relaxed(node, 'key')).toBe('one');
    }));

  it('knows what was written also after a restart, and where the news of it was lost', () =>
    onStrongCluster(THREE_REGIONS, {}, async (clients, cluster) => {
      cluster.passes = (_from, to, message) => !(to === 'ap-1' && isNews(message));
      await clients.put('us-1', 'key', 'one');
      await cluster.settle();
      cluster.passes = () => true;
      await cluster.settle();
      for (const node of NODES) expect(await clients.relaxed(node, 'key')).toBe('one');
      for (const node of NODES) cluster.crash(node);
      for (const node of NODES) await cluster.start(node);
      for (const node of NODES) expect(await clients.relaxed(node, 'key')).toBe('one');
    }));
});

describe('without a majority', () => {
  it('a change says that nothing was written, and nothing was', () =>
    onStrongCluster(THREE_REGIONS, {}, async (clients, cluster) => {
      await clients.put('eu-1', 'key', 'one');
      // Nobody knows yet that us-1 is alone: what it asks first is a promise.
      cluster.passes = (from, to) => from !== 'us-1' && to !== 'us-1';
      expect(await codeOf(clients.put('us-1', 'key', 'two', undefined, { timeoutMs: 300 }))).toBe('QUORUM_UNAVAILABLE');
      expect(await codeOf(clients.get('us-1', 'key', { timeoutMs: 300 }))).toBe('QUORUM_UNAVAILABLE');
      await cluster.settle();
      // By now it knows, and says so at once.
      const startedAtMs = cluster.time.nowMs;
      expect(await codeOf(clients.put('us-1', 'key', 'two'))).toBe('QUORUM_UNAVAILABLE');
      expect(cluster.time.nowMs).toBe(startedAtMs);
      expect(await clients.get('ap-1', 'key')).toBe('one');
      cluster.passes = () => true;
      await cluster.settle();
      for (const node of NODES) expect(await clients.get(node, 'key')).toBe('one');
      await cluster.settle();
      for (const node of NODES) expect(await clients.relaxed(node, 'key')).toBe('one');
    }));

  it('a change that was proposed says that its outcome is unknown, whether it was taken or not', () =>
    onStrongCluster(THREE_REGIONS, {}, async (clients, cluster) => {
      // The next change of us-1 needs no promise: it proposes at once.
      await clients.put('us-1', 'key', 'one');
      cluster.passes = (from) => from !== 'us-1';
      expect(await codeOf(clients.put('us-1', 'key', 'two', undefined, { timeoutMs: 300 }))).toBe('OUTCOME_UNKNOWN');
      cluster.passes = (_from, to) => to !== 'us-1';
      expect(await codeOf(clients.put('us-1', 'key', 'three', undefined, { timeoutMs: 300 }))).toBe(
        'QUORUM_UNAVAILABLE',
      );
      cluster.passes = () => true;
      await cluster.settle();
      const chosen = await clients.get('eu-1', 'key');
      expect(['one', 'two']).toContain(chosen);
      await cluster.settle();
      for (const node of NODES) expect(await clients.relaxed(node, 'key')).toBe(chosen);
    }));

  it('says how many it needs, how many it reached, and which regions are missing', () =>
    onStrongCluster(THREE_REGIONS, {}, async (clients, cluster) => {
      cluster.crash('eu-1');
      cluster.crash('ap-1');
      await cluster.time.sleep(5_000);
      for (const work of [clients.put('us-1', 'key', 'x'), clients.get('us-1', 'key')]) {
        const error: unknown = await work.catch((thrown: unknown) => thrown);
        expect(error).toMatchObject({
          code: 'QUORUM_UNAVAILABLE',
          figures: { required: 2, reached: 1, missingRegions: ['eu', 'ap'] },
        });
      }
    }));

  it('what a change says is so under any pattern of lost messages', () =>
    onStrongCluster(THREE_REGIONS, {}, async (clients, cluster) => {
      const outcomes = new Set<string>();
      for (let pattern = 0; pattern < 24; pattern++) {
        const key = `key-${pattern}`;
        const node = inTurn(pattern);
        if (pattern % 2 === 0) await clients.put(node, key, 'before');
        let at = 0;
        // Of what goes from and to the proposer, messages are lost in many ways.
        cluster.passes = (from, to, message) =>
          (from !== node && to !== node) || !(isPrepare(message) || isAccept(message) || isAnswer(message))
            ? true
            : ((pattern * 2_654_435_761) >>> (at++ % 29)) % 3 === 0;
        const code = await codeOf(clients.put(node, key, 'after', undefined, { timeoutMs: 250 }));
        outcomes.add(code);
        cluster.passes = () => true;
        const found = await clients.get(inTurn(pattern + 1), key);
        if (code === 'no error') expect(found, `pattern ${pattern}`).toBe('after');
        if (code === 'QUORUM_UNAVAILABLE') expect(found, `pattern ${pattern}`).not.toBe('after');
      }
      expect(outcomes).toContain('QUORUM_UNAVAILABLE');
      expect(outcomes).toContain('OUTCOME_UNKNOWN');
    }));
});

describe('a node in a region without a replica', () => {
  const FOUR = { us: 1, eu: 1, ap: 1, sa: 1 };
  const PLACEMENT = { placement: { us: 1, eu: 1, ap: 1 } };

  it('passes on every kind of request, and keeps nothing of it', () =>
    onStrongCluster(FOUR, PLACEMENT, async (clients, cluster) => {
      const first = await clients.create('sa-1', 'key', 'one', { idempotencyKey: 'order-7' });
      expect((await clients.create('sa-1', 'key', 'one', { idempotencyKey: 'order-7' })).head.etag).toBe(
        first.head.etag,
      );
      expect(await codeOf(clients.create('sa-1', 'key', 'two'))).toBe('KEY_EXISTS');
      expect(await clients.get('sa-1', 'key')).toBe('one');
      const second = await clients.put('sa-1', 'key', 'two', matching(first));
      expect(await codeOf(clients.put('sa-1', 'key', 'no', matching(first)))).toBe('CONDITION_FAILED');
      expect(await clients.get('eu-1', 'key')).toBe('two');
      const { receipt } = (await clients.read('sa-1', 'key')).head;
      expect(receipt).toMatchObject({ level: 'strong', rounds: 2, replicasAsked: 3 });
      expect(receipt.hops[0]?.region).toBe('us');
      expect(await codeOf(clients.put('sa-1', 'key', 'no', undefined, { context: first.head.context }))).toBe(
        'CONDITION_FAILED',
      );
      await clients.put('sa-1', 'key', 'three', undefined, { context: second.head.context });
      expect((await clients.delete('sa-1', 'key', { ifMatch: '*' })).existed).toBe(true);
      expect((await clients.delete('sa-1', 'key')).existed).toBe(false);
      await cluster.settle();
      expect(await clients.relaxed('sa-1', 'key')).toBeUndefined();
      await clients.put('sa-1', 'key', 'four');
      await cluster.settle();
      expect(await clients.relaxed('sa-1', 'key')).toBe('four');
      const id = (await cluster.node('sa-1').namespace(EXACT, optionsOf())).id;
      expect([...cluster.member('sa-1').disk.durableKeys()].filter((key) => key.startsWith(`${id}\0`))).toEqual([]);
    }));

  it('asks the next nearest where the nearest is away, and reads there where the nearest is silent', () =>
    onStrongCluster(FOUR, PLACEMENT, async (clients, cluster) => {
      await clients.put('sa-1', 'key', 'one');
      cluster.passes = (from, to, message) => !(from === 'us-1' && to === 'sa-1' && isAnswer(message));
      expect(await clients.get('sa-1', 'key')).toBe('one');
      // A change may have been taken there, and is not sent elsewhere.
      expect(await codeOf(clients.put('sa-1', 'key', 'two', undefined, { timeoutMs: 500 }))).toBe('OUTCOME_UNKNOWN');
      cluster.passes = () => true;
      cluster.crash('us-1');
      await cluster.time.sleep(5_000);
      expect((await clients.put('sa-1', 'key', 'three')).existed).toBe(true);
      expect(await clients.get('ap-1', 'key')).toBe('three');
      cluster.crash('eu-1');
      cluster.crash('ap-1');
      await cluster.time.sleep(5_000);
      expect(await codeOf(clients.put('sa-1', 'key', 'four'))).toBe('REPLICA_UNAVAILABLE');
    }));
});

describe('a node in a region without a replica, in a split', () => {
  const FOUR = { us: 1, eu: 1, ap: 1, sa: 1 };
  const PLACEMENT = { placement: { us: 1, eu: 1, ap: 1 } };

  it('goes past a replica that is there, and has no majority', () =>
    onStrongCluster(FOUR, PLACEMENT, async (clients, cluster) => {
      await clients.put('sa-1', 'key', 'one');
      // us-1, the nearest, hears sa-1 alone.
      cluster.split('us-1', 'eu-1');
      cluster.split('us-1', 'ap-1');
      await cluster.settle();
      expect(await codeOf(clients.get('us-1', 'key'))).toBe('QUORUM_UNAVAILABLE');
      expect(await clients.get('sa-1', 'key')).toBe('one');
      expect((await clients.put('sa-1', 'key', 'two')).head.receipt.region).toBe('eu');
      expect(await clients.get('ap-1', 'key')).toBe('two');
      cluster.split('eu-1', 'ap-1');
      await cluster.settle();
      // No replica has one now: what the last of them said is the answer.
      for (const work of [clients.put('sa-1', 'key', 'three'), clients.get('sa-1', 'key')])
        expect(await codeOf(work)).toBe('QUORUM_UNAVAILABLE');
    }));
});

describe('a session that goes to another region with every request', () => {
  it('reads its writes, in eventual and in strong namespaces, in any order of them', () =>
    onStrongCluster(THREE_REGIONS, {}, async (clients, cluster) => {
      // What is written reaches the others late: nothing is read by luck.
      cluster.passes = (_from, _to, message) => !(isNews(message) && cluster.time.nowMs % 3 > 1);
      let session: string | undefined;
      for (let turn = 0; turn < 12; turn++) {
        const level = 'session' as const;
        const at = { level, session, timeoutMs: 4_000 };
        const isStrong = turn % 3 !== 0;
        const written = isStrong
          ? await clients.put(inTurn(turn), 'key', `${turn}`, undefined, at)
          : await cluster.put(inTurn(turn), 'key', `${turn}`, at);
        session = written.head.session;
        for (const offset of [1, 2]) {
          const again = { level, session, timeoutMs: 4_000 };
          const strong = await clients.read(inTurn(turn + offset), 'key', again);
          if (isStrong) expect(new TextDecoder().decode(strong.values[0]?.body)).toBe(`${turn}`);
          session = strong.head.session;
          const eventual = await cluster
            .node(inTurn(turn + offset))
            .get('default', 'key', optionsOf({ ...again, session }));
          expect(new TextDecoder().decode(eventual.values[0]?.body)).toBe(`${turn - (turn % 3)}`);
          expect(eventual.values).toHaveLength(1);
          session = eventual.head.session;
        }
      }
    }));

  it('hands over with a strong value what its writer had seen', () =>
    onStrongCluster(THREE_REGIONS, {}, async (clients, cluster) => {
      cluster.passes = (from, to, message) => !(from === 'us-1' && to === 'ap-1' && isNews(message));
      const cause = await cluster.put('us-1', 'cause', 'seen', { level: 'session' });
      await clients.put('us-1', 'effect', 'done', undefined, { level: 'session', session: cause.head.session });
      const { head } = await clients.read('ap-1', 'effect', { level: 'session' });
      // ap-1 has not got it; a session that has seen the effect is not told that there is no cause.
      expect(await cluster.get('ap-1', 'cause')).toEqual([]);
      expect(await cluster.get('ap-1', 'cause', { level: 'session', session: head.session })).toEqual(['seen']);
    }));
});

describe('the level strong in an eventual namespace', () => {
  const strong = { level: 'strong' } as const;

  it('reads after a strong write anywhere see it, and later writes stand above it', () =>
    onStrongCluster(THREE_REGIONS, {}, async (_clients, cluster) => {
      cluster.passes = (_from, _to, message) => !isNews(message);
      for (let turn = 0; turn < 6; turn++) {
        const { head } = await cluster.put(inTurn(turn), 'key', `${turn}`, strong);
        expect(head.receipt.level).toBe('strong');
        // One value: a write that had not seen the one before would make a sibling of it.
        for (const node of NODES) expect(await cluster.get(node, 'key', strong)).toEqual([`${turn}`]);
      }
    }));

  it('a read writes back what not all have before it answers', () =>
    onStrongCluster(THREE_REGIONS, {}, async (_clients, cluster) => {
      await cluster.put('us-1', 'key', 'old', { level: 'quorum' });
      await cluster.settle();
      // The write reaches no other store: its outcome is unknown.
      cluster.passes = (from, _to, message) =>
        !(from === 'us-1' && (isNews(message) || (message[0] === REQUEST && message[4][0] === MERGE)));
      expect(await codeOf(cluster.put('us-1', 'key', 'new', { ...strong, timeoutMs: 300 }))).toBe('OUTCOME_UNKNOWN');
      cluster.split('eu-1', 'ap-1');
      const read = await cluster.node('eu-1').get('default', 'key', optionsOf(strong));
      expect(read.head.receipt.rounds).toBe(2);
      expect(new TextDecoder().decode(read.values[0]?.body)).toBe('new');
      cluster.heal();
      cluster.crash('us-1');
      await cluster.time.sleep(5_000);
      expect(await cluster.get('ap-1', 'key', strong)).toEqual(['new']);
    }));

  it.each(['create', 'delete'] as const)('a %s that is refused has read, and writes back like a read', (refused) =>
    onStrongCluster({ ...THREE_REGIONS, sa: 1, af: 1 }, {}, async (_clients, cluster) => {
      if (refused === 'delete') await cluster.put('us-1', 'key', 'old', strong);
      await cluster.settle();
      const inHaste = optionsOf({ ...strong, timeoutMs: 300 });
      // It reaches no other store: its outcome is unknown.
      cluster.passes = (from, _to, message) =>
        !(from === 'us-1' && (isNews(message) || (message[0] === REQUEST && message[4][0] === MERGE)));
      const change =
        refused === 'create'
          ? cluster.put('us-1', 'key', 'new', inHaste)
          : cluster.node('us-1').delete('default', 'key', undefined, inHaste);
      expect(await codeOf(change)).toBe('OUTCOME_UNKNOWN');
      for (const far of ['sa-1', 'af-1']) cluster.split('eu-1', far);
      const eu = cluster.node('eu-1');
      const value = { body: new Uint8Array(1), contentType: 'text/plain' };
      if (refused === 'create')
        expect(await codeOf(eu.create('default', 'key', value, optionsOf(strong)))).toBe('KEY_EXISTS');
      else expect((await eu.delete('default', 'key', undefined, optionsOf(strong))).existed).toBe(false);
      // News of it travels no further.
      cluster.passes = (_from, _to, message) => !isNews(message);
      for (const near of ['us-1', 'eu-1']) cluster.crash(near);
      await cluster.time.sleep(5_000);
      expect(await cluster.get('sa-1', 'key', strong)).toEqual(refused === 'create' ? ['new'] : []);
    }),
  );

  it.each(['create', 'delete'] as const)(
    'a %s that finds here what came after its look brings that to the others',
    (refused) =>
      onStrongCluster(THREE_REGIONS, {}, async (_clients, cluster) => {
        if (refused === 'delete') await cluster.put('us-1', 'key', 'old', strong);
        await cluster.settle();
        // What eu-1 writes by itself stays there.
        cluster.passes = (from, _to, message) => !(from === 'eu-1' && isNews(message));
        const eu = cluster.node('eu-1');
        const value = { body: new Uint8Array(1), contentType: 'text/plain' };
        const told =
          refused === 'create'
            ? codeOf(eu.create('default', 'key', value, optionsOf(strong)))
            : eu.delete('default', 'key', undefined, optionsOf(strong)).then(({ existed }) => `existed ${existed}`);
        // It looks at a majority, which takes a round trip.
        await cluster.time.sleep(20);
        if (refused === 'create') await cluster.put('eu-1', 'key', 'meanwhile');
        else await eu.delete('default', 'key', undefined, optionsOf());
        expect(await told).toBe(refused === 'create' ? 'KEY_EXISTS' : 'existed false');
        cluster.crash('eu-1');
        await cluster.settle();
        expect(await cluster.get('us-1', 'key', strong)).toEqual(refused === 'create' ? ['meanwhile'] : []);
      }),
  );

  it('a read of what all agree on takes one round, and one of nothing too', () =>
    onStrongCluster(THREE_REGIONS, {}, async (_clients, cluster) => {
      await cluster.put('us-1', 'key', 'value', strong);
      await cluster.settle();
      for (const key of ['key', 'nothing']) {
        const { head } = await cluster.node('eu-1').get('default', key, optionsOf(strong));
        expect(head.receipt).toMatchObject({ level: 'strong', rounds: 1 });
      }
    }));

  it('refuses conditions and idempotency keys, which only a strong namespace keeps', () =>
    onStrongCluster(THREE_REGIONS, {}, async (_clients, cluster) => {
      for (const conditions of [{ ifMatch: '*' }, { ifNoneMatch: '*' }, { idempotencyKey: 'order-7' }])
        expect(await codeOf(cluster.put('us-1', 'key', 'value', { ...strong, conditions }))).toBe(
          'CONDITION_NEEDS_STRONG_NAMESPACE',
        );
      expect(await cluster.get('us-1', 'key')).toEqual([]);
    }));
});
