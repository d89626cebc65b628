import { EventEmitter } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { runCommand } from './command-line.testing.ts';
import { FakeNode } from './fake-node.testing.ts';
import { widthOf } from './output/table.ts';

let nodes: FakeNode[];
beforeEach(async () => {
  nodes = [new FakeNode(), new FakeNode()];
  for (const node of nodes) await node.start();
  const [us, eu] = nodes as [FakeNode, FakeNode];
  Object.assign(eu, { name: 'eu-central-1', region: 'eu-central' });
  us.regionList = [
    us.regionStatus(),
    { ...eu.regionStatus(), rttMs: 91.2, lagMs: 46.1, keys: 138_398, bytes: 73_400_320 },
    {
      name: 'mars',
      latitude: -33,
      longitude: 151,
      nodes: [
        {
          name: 'm',
          http: '127.0.0.1:9',
          store: 'm',
          reachable: false,
          rttMs: null,
          lagMs: 86_000_000,
          keys: null,
          bytes: null,
        },
      ],
      reachable: false,
      rttMs: null,
      lagMs: 86_000_000,
      keys: null,
      bytes: null,
    },
  ];
});
afterEach(async () => {
  for (const node of nodes) await node.stop();
});

const meridian = (...args: readonly string[]) =>
  runCommand(args, { env: { MERIDIAN_ENDPOINT: nodes[0]?.endpoint ?? '' } });
const told = (node: FakeNode | undefined) =>
  node?.requests.filter(({ path }) => path === '/admin/wan').map(({ body }) => JSON.parse(body) as unknown);

const OPEN = {
  regions: ['us-east', 'eu-central', 'ap-northeast'],
  rtt: { 'eu-central|us-east': 91, 'ap-northeast|us-east': 150, 'ap-northeast|eu-central': 229.5 },
  split: [],
  oneWay: [],
  loss: 0,
};

/** What the node says of its links: open ones, but for `change`. */
function shows(node: FakeNode | undefined, change: object): void {
  if (!node) return;
  const links = { ...OPEN, region: node.region, ...change };
  node.intercept = (method, { pathname }) =>
    method === 'GET' && pathname === '/admin/wan' ? { status: 200, body: links } : undefined;
}

describe('status', () => {
  it('is a table that fits 80 columns', async () => {
    const { code, out } = await meridian('status');
    expect(code).toBe(0);
    const lines = out.split('\n');
    for (const line of lines) expect(widthOf(line)).toBeLessThanOrEqual(80);
    expect(lines[2]).toMatch(/^ {2}REGION +PLACE +NODES +RTT +LAG +KEYS +BYTES$/);
    expect(lines[3]).toMatch(/^● us-east +Washington DC +1\/1 +here +– +0 +4\.0 KiB$/);
    expect(lines[4]).toMatch(/^● eu-central +Frankfurt +1\/1 +91 ms +46 ms +138,398 +70 MiB$/);
    expect(lines[5]).toMatch(/^○ mars +33\.0°S 151\.0°E +0\/1 +down +23 h 53 min +– +–$/);
    expect(out).toContain('2 of 3 regions answer');
    expect(out).not.toContain('\u001b');
  });

  it('goes on until it is stopped', async () => {
    const signals = new EventEmitter();
    const running = runCommand(['status', '--watch', '0.1'], {
      signals,
      env: { MERIDIAN_ENDPOINT: nodes[0]?.endpoint ?? '' },
    });
    await sleep(450);
    signals.emit('SIGINT');
    const { code, out } = await running;
    expect(code).toBe(0);
    expect(out.split('REGION').length).toBeGreaterThan(2);
  });

  it('goes on as lines of JSON, on a terminal too', async () => {
    const signals = new EventEmitter();
    const running = runCommand(['status', '--watch', '0.1', '--json'], {
      signals,
      isTerminal: true,
      env: { MERIDIAN_ENDPOINT: nodes[0]?.endpoint ?? '' },
    });
    await sleep(450);
    signals.emit('SIGINT');
    for (const line of (await running).out.trimEnd().split('\n')) expect(JSON.parse(line)).toHaveProperty('regions');
  });

  it('prints data as JSON', async () => {
    expect(JSON.parse((await meridian('status', '--json')).out)).toMatchObject({
      health: { node: 'us-east-1' },
      regions: [{ name: 'us-east' }, {}, {}],
    });
  });
});

describe('wan', () => {
  it('tells every node, and says which did not hear it', async () => {
    const { code, out, err } = await meridian('wan', 'split', 'us-east', 'eu-central');
    expect(code).toBe(1);
    for (const node of nodes) expect(told(node)).toEqual([{ split: [['us-east', 'eu-central']] }]);
    expect(out).toMatch(
      /● us-east-1 +us-east ╳ eu-central\n● eu-central-1 +us-east ╳ eu-central\n○ m +http:\/\/127\.0\.0\.1:9 does not answer/,
    );
    expect(err).toBe('meridian: 1 of 3 nodes did not do it\n');
  });

  it('cuts one region off from all others, slows, loses and heals', async () => {
    const [us] = nodes;
    if (us) us.regionList = us.regionList?.slice(0, 2);
    expect((await meridian('wan', 'split', 'us-east')).code).toBe(0);
    expect((await meridian('wan', 'rtt', 'us-east', 'eu-central', '250')).code).toBe(0);
    expect((await meridian('wan', 'loss', '0.05')).code).toBe(0);
    expect((await meridian('wan', 'heal')).code).toBe(0);
    expect(told(nodes[1])).toEqual([
      { split: [['us-east', 'eu-central']] },
      { rtt: { 'us-east|eu-central': 250 } },
      { loss: 0.05 },
      { heal: true },
    ]);
  });

  it('shows the links in a table that fits 80 columns, and who did not tell of them', async () => {
    shows(nodes[0], { split: [['eu-central', 'us-east']], loss: 0.05 });
    shows(nodes[1], { split: [['eu-central', 'us-east']], oneWay: [['ap-northeast', 'eu-central']], loss: 0.05 });
    const { code, out, err } = await meridian('wan', 'status');
    const lines = out.split('\n');
    for (const line of lines) expect(widthOf(line)).toBeLessThanOrEqual(80);
    expect(lines).toEqual([
      'Emulated links as 2 of 3 nodes have them',
      '',
      '  LINK                          RTT  LOSS  STATE',
      '○ us-east ╳ eu-central        91 ms    5%  split',
      '● us-east ↔ ap-northeast     150 ms    5%  open',
      '◐ eu-central → ap-northeast  230 ms    5%  one way',
      '',
      '1 of 3 links is open',
      expect.stringMatching(/^○ m {2}http:\/\/127\.0\.0\.1:9 does not answer/),
      '',
    ]);
    expect([code, err]).toEqual([1, 'meridian: 1 of 3 nodes did not answer\n']);
    expect(nodes.map(({ requests }) => requests.filter(({ path }) => path === '/admin/wan').length)).toEqual([1, 1]);
  });

  it('shows where the nodes at the ends of a link differ', async () => {
    const [us] = nodes;
    if (us) us.regionList = us.regionList?.slice(0, 2);
    shows(nodes[0], { rtt: { 'us-east|eu-central': 250 }, split: [['us-east', 'eu-central']] });
    shows(nodes[1], {});
    const { code, out } = await meridian('wan', 'status');
    expect(code).toBe(0);
    expect(out).toMatch(/^○ us-east ╳ eu-central +250 ms \/ 91 ms +0% +split at us-east-1 only$/m);
    expect(out).toMatch(/^● us-east ↔ ap-northeast +0 ms +0% +open$/m);
  });

  it('shows as JSON what each node said', async () => {
    shows(nodes[0], { loss: 0.25 });
    shows(nodes[1], {});
    const { code, out } = await meridian('wan', 'status', '--json');
    expect(code).toBe(1);
    expect(JSON.parse(out)).toEqual([
      { node: 'us-east-1', region: 'us-east', ok: true, answer: { ...OPEN, region: 'us-east', loss: 0.25 } },
      { node: 'eu-central-1', region: 'eu-central', ok: true, answer: { ...OPEN, region: 'eu-central' } },
      { node: 'm', region: 'mars', ok: false, error: expect.stringContaining('does not answer') },
    ]);
  });

  it('knows its regions', async () => {
    expect(await meridian('wan', 'split', 'us-est', 'mars')).toEqual({
      code: 2,
      out: '',
      err: "meridian: us-est: there is no such region, did you mean 'us-east'?\n",
    });
    expect(told(nodes[0])).toEqual([]);
  });
});
