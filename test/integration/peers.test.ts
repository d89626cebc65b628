import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ANSWER, CHANGES, FOLLOW, GREETING, MERGE, type Message, READ, REQUEST } from '@meridian/core/wire/messages';
import { PROTOCOL_VERSION } from '@meridian/core/wire/protocol';
import { packSmall } from '@meridian/server/adapters/tcp/message-codec';
import { readSecret } from '@meridian/server/config/secret-file';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type Cluster, newCluster } from '../support/cluster.ts';
import { eventually } from '../support/eventually.ts';
import { ask } from '../support/http.ts';
import { type Claims, framed, Impostor } from '../support/impostor.ts';

/** The node that strangers come to. */
const HOST = 'us-1';
const OTHER = 'eu-1';
/** In the layout, but not running: strangers call themselves by its name. */
const ABSENT = 'ap-1';
const SILENCE_MS = 5_000;

describe('a stranger at the port for peers', () => {
  let cluster: Cluster;
  let secret: Uint8Array;
  let impostors: Impostor[];
  let load: { stop(): Promise<Served> };

  interface Served {
    readonly count: number;
    readonly failures: readonly string[];
  }

  beforeAll(async () => {
    cluster = await newCluster({ 'us-east': [HOST], 'eu-central': [OTHER], 'ap-northeast': [ABSENT] });
    await Promise.all([cluster.start(HOST), cluster.start(OTHER)]);
    secret = readSecret(join(cluster.folder, 'cluster.secret')).bytes;
    impostors = [];
    const isConnected = async () =>
      (await cluster.client(HOST).health()).peers.some(({ node, reachable }) => node === OTHER && reachable);
    await eventually(isConnected, { what: 'the connection of the two nodes' });
    load = startLoad();
  });

  afterEach(() => {
    for (const impostor of impostors) impostor.leave();
  });

  afterAll(() => cluster?.remove());

  /** Writes at the one node and reads at the other, all the time: whatever strangers do, this goes on. */
  function startLoad(): { stop(): Promise<Served> } {
    let isOver = false;
    const failures: string[] = [];
    const run = async () => {
      let count = 0;
      for (; !isOver; count++) {
        const key = `undisturbed-${count}`;
        const put = await ask(`${cluster.url(HOST)}/kv/${key}?consistency=${count % 2 === 0 ? 'eventual' : 'quorum'}`, {
          method: 'PUT',
          body: { value: count },
        });
        if (put.status !== 201) failures.push(`${key}: ${put.status} ${JSON.stringify(put.body)}`);
        const arrives = async () => (await ask(`${cluster.url(OTHER)}/kv/${key}`)).body?.value === count;
        await eventually(arrives, { what: key, withinMs: 2_000, everyMs: 10 }).catch((error: Error) =>
          failures.push(error.message),
        );
        await sleep(15);
      }
      return count;
    };
    const running = run();
    return {
      stop: async () => {
        isOver = true;
        return { count: await running, failures };
      },
    };
  }

  function stranger(): Impostor {
    const impostor = new Impostor(cluster.place(HOST).peer);
    impostors.push(impostor);
    return impostor;
  }

  /** The warnings of the host since `from`, of strangers. */
  function warnings(from: number): readonly Record<string, unknown>[] {
    return cluster
      .process(HOST)
      .events()
      .slice(from)
      .filter(({ level, rejection }) => level === 'warn' && rejection !== undefined);
  }

  /** Does what a stranger does, and expects the host to close the connection and to tell why in one line. */
  async function isTurnedAway(
    rejection: string,
    reason: RegExp,
    act: (impostor: Impostor) => Promise<unknown>,
  ): Promise<void> {
    const from = cluster.process(HOST).events().length;
    const impostor = stranger();
    await act(impostor);
    await impostor.closed;
    const told = await eventually(async () => warnings(from).length > 0 && warnings(from), {
      what: 'a word in the log',
      withinMs: 3_000,
    });
    expect(told.map(({ rejection: why, msg }) => [why, msg])).toEqual([[rejection, expect.stringMatching(reason)]]);
    expect(JSON.stringify(told)).not.toContain(Buffer.from(secret).toString());
  }

  /** A frame of a message, or of what should be one. */
  const packed = (message: readonly unknown[]) => framed(packSmall(message as unknown as Message));
  const claims = (more: Partial<Claims> = {}): Claims => ({ cluster: 'test', node: ABSENT, secret, ...more });
  const notProved = (more: Partial<Claims>) => async (impostor: Impostor) =>
    expect(await impostor.prove(HOST, claims(more))).toBe(false);
  const proved = (then: (impostor: Impostor) => Promise<unknown>) => async (impostor: Impostor) => {
    expect(await impostor.prove(HOST, claims())).toBe(true);
    await then(impostor);
  };

  it('who sends garbage is turned away', () =>
    isTurnedAway('garbage', /refused a peer connection: it sent what is no handshake/, (it) =>
      it.send(framed(randomBytes(64))),
    ));

  it('who speaks HTTP is turned away: it looks like a frame far too large', () =>
    isTurnedAway('oversized', /refused a peer connection: a frame of \d+ bytes, where 4096 are allowed/, (it) =>
      it.send(Buffer.from('GET / HTTP/1.1\r\nHost: a\r\n\r\n')),
    ));

  it('who speaks an old version is told apart from a liar', () =>
    isTurnedAway(
      'version',
      new RegExp(
        `refused a peer connection: it speaks protocol version ${PROTOCOL_VERSION - 1}, this node ${PROTOCOL_VERSION}`,
      ),
      notProved({ version: PROTOCOL_VERSION - 1 }),
    ));

  it('who does not know the secret is turned away', () =>
    isTurnedAway(
      'secret',
      /refused a peer connection: "ap-1" does not know the cluster's secret/,
      notProved({ secret: randomBytes(32) }),
    ));

  it('who belongs to another cluster is turned away', () =>
    isTurnedAway('cluster', /it belongs to cluster "other", this node to "test"/, notProved({ cluster: 'other' })));

  it('whose name is in no layout is turned away', () =>
    isTurnedAway('unknown-node', /no node of this cluster is called "aa-9"/, notProved({ node: 'aa-9' })));

  it('who says nothing is turned away after a while', () =>
    isTurnedAway('timeout', new RegExp(`no proof within ${SILENCE_MS} ms`), () => Promise.resolve()));

  it('who has proved himself and then sends garbage is cut off', () =>
    isTurnedAway(
      'garbage',
      /peer is down: it sent what is no message/,
      proved((it) => it.send(framed(randomBytes(200)))),
    ));

  it('who has proved himself and then sends what is no message is cut off', () =>
    isTurnedAway(
      'garbage',
      /peer is down: it sent what is no message/,
      proved((it) => it.send(packed([99, 'x', [[[[1]]]]]))),
    ));

  it('who has proved himself and then announces a frame of 4 GiB is cut off, before it is there', () =>
    isTurnedAway(
      'oversized',
      /peer is down: a frame of 4294967295 bytes, where \d+ are allowed/,
      proved((it) => it.send(framed(new Uint8Array(16), 0xffff_ffff))),
    ));

  it('who has proved himself and then lies about what he holds harms nobody', async () => {
    const impostor = stranger();
    expect(await impostor.prove(HOST, claims())).toBe(true);
    await impostor.send(packed([GREETING, 'no-such-store', 'no-such-store.xxxxxxxx', 1, true, []]));
    await impostor.send(packed([FOLLOW, 'no-such-store.xxxxxxxx', 'no-such-store.yyyyyyyy', 0, 0, true, 1]));
    await impostor.send(
      packed([
        CHANGES,
        'no-such-store.xxxxxxxx',
        'us-1.none',
        0,
        10,
        true,
        [['default.1\0undisturbed-0', new Uint8Array([1, 2, 3])]],
      ]),
    );
    await impostor.send(
      packed([REQUEST, 7, 'lie', 1_000, [MERGE, [['default.1\0undisturbed-0', new Uint8Array([1, 2, 3])]]]]),
    );
    await impostor.send(packed([REQUEST, 8, 'lie', 1_000, [READ, '\0\0\0', null]]));
    await impostor.send(packed([ANSWER, 1, null, 'never asked']));
    await sleep(300);
    impostor.leave();
    expect((await ask(`${cluster.url(HOST)}/kv/undisturbed-0`)).body).toMatchObject({ value: 0, conflict: false });
  });

  it('who comes a hundred times has one line, and the rest are counted', async () => {
    const from = cluster.process(HOST).events().length;
    for (let wave = 0; wave < 4; wave++) {
      const strangers = Array.from({ length: 25 }, stranger);
      await Promise.all(strangers.map(notProved({ cluster: 'many' })));
      await Promise.all(strangers.map(({ closed }) => closed));
    }
    await sleep(200);
    expect(warnings(from).length).toBeLessThanOrEqual(1);
    const metrics = await (await fetch(`${cluster.url(HOST)}/metrics`)).text();
    expect(Number(/peer_rejected_cluster[^\n]* (\d+)/.exec(metrics)?.[1])).toBeGreaterThanOrEqual(100);
  });

  it('disturbs nobody: requests and replication went on all the time, and the two nodes stayed connected', async () => {
    const { count, failures } = await load.stop();
    expect(failures).toEqual([]);
    expect(count).toBeGreaterThan(100);
    for (const node of [HOST, OTHER]) {
      const events = cluster.process(node).events();
      const other = node === HOST ? OTHER : HOST;
      expect(events.filter(({ msg, peer }) => /disconnected|is down/.test(String(msg)) && peer === other)).toEqual([]);
      const errors = events
        .filter(({ level }) => level === 'error' || level === 'fatal')
        .map(({ msg, peer }) => [msg, peer]);
      expect(errors).toEqual(node === HOST ? [['a peer stands on another store than in this layout', ABSENT]] : []);
      expect(cluster.process(node).stderr.filter((line) => !line.startsWith('{'))).toEqual([]);
    }
    console.info(`${count} writes replicated meanwhile`);
  });
});
