import type { NodeName, RegionName } from '@meridian/core/ids';
import type { Message } from '@meridian/core/wire/messages';
import { beforeEach, describe, expect, it } from 'vitest';
import { carrying, idOf } from '../../../../../test/conformance/transport.ts';
import type { Clock } from '../../ports/clock.ts';
import type { Transport, TransportHandler } from '../../ports/transport.ts';
import { type WanOptions, type WanTransport, wanTransport } from './wan-transport.ts';

const EU = 'eu-1' as NodeName;
const AP = 'ap-1' as NodeName;
const US2 = 'us-2' as NodeName;
const REGIONS = ['us', 'eu', 'ap'] as RegionName[];

/** Time that stands still until it is moved; timers may be made to fire early, as Node's do. */
class HandClock implements Clock {
  nowMs = 1_000;
  earlyMs = 0;
  #timers: { atMs: number; fire: () => void }[] = [];
  wallMs = () => this.nowMs;
  monotonicMs = () => this.nowMs;
  soon = (fire: () => void) => void this.timer(0, fire);
  timer(delayMs: number, fire: () => void): () => void {
    const timer = { atMs: this.nowMs + (delayMs > 1 ? delayMs - this.earlyMs : delayMs), fire };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }
  get timers(): number {
    return this.#timers.length;
  }
  pass(ms: number): void {
    const untilMs = this.nowMs + ms;
    for (;;) {
      const [next] = this.#timers.filter(({ atMs }) => atMs <= untilMs).sort((a, b) => a.atMs - b.atMs);
      if (!next) break;
      this.#timers = this.#timers.filter((other) => other !== next);
      this.nowMs = Math.max(this.nowMs, next.atMs);
      next.fire();
    }
    this.nowMs = untilMs;
  }
}

/** What lies below: it notes what reaches it, and when. */
class Below implements Transport {
  handler!: TransportHandler;
  readonly sent: { readonly to: NodeName; readonly id: number; readonly atMs: number }[] = [];
  readonly up = new Set<NodeName>();
  isFull = false;
  readonly #clock: Clock;
  constructor(clock: Clock) {
    this.#clock = clock;
  }
  start(handler: TransportHandler): Promise<void> {
    this.handler = handler;
    return Promise.resolve();
  }
  stop(): Promise<void> {
    for (const node of [...this.up]) this.lower(node);
    return Promise.resolve();
  }
  send(to: NodeName, message: Message): boolean {
    if (this.isFull || !this.up.has(to)) return false;
    this.sent.push({ to, id: idOf(message), atMs: this.#clock.monotonicMs() });
    return true;
  }
  isUp(node: NodeName): boolean {
    return this.up.has(node);
  }
  bufferedBytes(): number {
    return this.isFull ? 1_000 : 0;
  }
  raise(node: NodeName): void {
    this.up.add(node);
    this.handler.onUp(node);
  }
  lower(node: NodeName): void {
    this.up.delete(node);
    this.handler.onDown(node, 'lowered');
  }
}

describe('the wan transport', () => {
  let clock: HandClock;
  let below: Below;
  let wan: WanTransport;
  let told: string[];
  let draws: number[];

  async function open(change: Partial<WanOptions> = {}): Promise<void> {
    clock = new HandClock();
    below = new Below(clock);
    told = [];
    draws = [];
    wan = wanTransport(below, {
      region: REGIONS[0] as RegionName,
      regions: REGIONS,
      regionOf: (node) => node.slice(0, 2) as RegionName,
      rtt: { 'us|eu': 90, 'ap|us': 160, 'eu|ap': 230, 'us|mars': 400_000 },
      clock,
      random: { uint32: () => (draws.shift() ?? 0.99) * 2 ** 32, id: () => '' },
      ...change,
    });
    await wan.start({
      onUp: (node) => told.push(`up ${node}`),
      onDown: (node, reason) => told.push(`down ${node}: ${reason}`),
      onMessage: (from, message) => told.push(`${idOf(message)} from ${from}`),
    });
    for (const node of [EU, AP, US2]) below.raise(node);
    told.length = 0;
  }
  beforeEach(() => open());

  const ids = (to = EU) => below.sent.filter((one) => one.to === to).map(({ id }) => id);
  const send = (to: NodeName, ...sent: number[]) => sent.map((id) => wan.send(to, carrying(id)));

  it('holds what it sends for half the round trip, which is found in either order of the pair', () => {
    send(EU, 1);
    send(AP, 2);
    clock.pass(44.9);
    expect(below.sent).toEqual([]);
    clock.pass(0.1);
    expect(below.sent).toEqual([{ to: EU, id: 1, atMs: 1_045 }]);
    clock.pass(35);
    expect(below.sent[1]).toEqual({ to: AP, id: 2, atMs: 1_080 });
  });

  it('passes messages within a region at once, and holds nothing that comes in', () => {
    send(US2, 1);
    expect(ids(US2)).toEqual([1]);
    below.handler.onMessage(EU, carrying(2));
    expect(told).toEqual(['2 from eu-1']);
  });

  it('keeps order and time with one timer a link, also where timers fire early', () => {
    clock.earlyMs = 0.8;
    for (let id = 0; id < 500; id++) {
      send(EU, id);
      clock.pass(0.3);
      expect(clock.timers).toBeLessThanOrEqual(1);
    }
    clock.pass(100);
    expect(ids()).toEqual(Array.from({ length: 500 }, (_, id) => id));
    below.sent.forEach(({ id, atMs }) => {
      const delayMs = atMs - (1_000 + id * 0.3);
      expect(delayMs).toBeGreaterThanOrEqual(45 - 1e-6);
      expect(delayMs).toBeLessThan(46);
    });
    expect(wan.bufferedBytes(EU)).toBe(0);
    expect(clock.timers).toBe(0);
  });

  it('lets no message overtake another when the round trip shrinks', () => {
    send(EU, 1);
    expect(wan.apply({ rtt: { 'eu|us': 2 } })).toBeUndefined();
    send(EU, 2);
    clock.pass(10);
    expect(ids()).toEqual([]);
    clock.pass(35);
    expect(ids()).toEqual([1, 2]);
    wan.apply({ rtt: { 'eu|us': 0 } });
    send(EU, 3);
    expect(ids()).toEqual([1, 2, 3]);
  });

  it('holds back a lost message, and all behind it, by a retransmission; and loses none', () => {
    wan.apply({ loss: 0.1 });
    draws = [0.5, 0.05, 0.5];
    send(EU, 1, 2, 3);
    clock.pass(45);
    expect(ids()).toEqual([1]);
    clock.pass(289);
    expect(ids()).toEqual([1]);
    clock.pass(1);
    expect(ids()).toEqual([1, 2, 3]);
    draws = [0.01];
    send(US2, 4);
    expect(ids(US2)).toEqual([4]);
  });

  it('cuts a split both ways: shows the peer as down, loses what is on its way, and shows it as up when healed', () => {
    send(EU, 1);
    send(AP, 2);
    expect(wan.apply({ split: [['eu', 'us']] })).toBeUndefined();
    expect(told).toEqual(['down eu-1: split']);
    expect([wan.isUp(EU), wan.isUp(AP), wan.bufferedBytes(EU)]).toEqual([false, true, 0]);
    expect(send(EU, 3)).toEqual([false]);
    below.handler.onMessage(EU, carrying(4));
    clock.pass(1_000);
    expect([ids(), ids(AP)]).toEqual([[], [2]]);
    wan.apply({ heal: true });
    expect(told).toEqual(['down eu-1: split', 'up eu-1']);
    send(EU, 5);
    clock.pass(45);
    expect(ids()).toEqual([5]);
    below.handler.onMessage(EU, carrying(6));
    expect(told.at(-1)).toBe('6 from eu-1');
  });

  it('shows no peer that comes and goes behind a split, and one that is there when it heals', () => {
    wan.apply({
      split: [
        ['us', 'eu'],
        ['us', 'ap'],
      ],
    });
    told.length = 0;
    below.lower(EU);
    below.raise(EU);
    below.lower(AP);
    expect(told).toEqual([]);
    wan.apply({ heal: true });
    expect(told).toEqual(['up eu-1']);
    below.raise(AP);
    expect(told).toEqual(['up eu-1', 'up ap-1']);
  });

  it('leaves alone a split between two other regions, and its own region', () => {
    wan.apply({ split: [['eu', 'ap']] });
    expect(told).toEqual([]);
    expect([EU, AP, US2].map((node) => wan.isUp(node))).toEqual([true, true, true]);
    expect(wan.status().split).toEqual([['eu', 'ap']]);
  });

  it('cuts one way without a word, and makes the link anew when healed', () => {
    wan.apply({ split: [['us', 'eu']], oneWay: true });
    expect(told).toEqual([]);
    expect(send(EU, 1)).toEqual([true]);
    below.handler.onMessage(EU, carrying(2));
    clock.pass(100);
    expect(ids()).toEqual([]);
    expect(told).toEqual(['2 from eu-1']);
    wan.apply({ split: [['eu', 'us']], oneWay: true });
    below.handler.onMessage(EU, carrying(3));
    expect(told).toEqual(['2 from eu-1']);
    wan.apply({ heal: true });
    expect(told).toEqual(['2 from eu-1', 'down eu-1: the link was cut one way', 'up eu-1']);
  });

  it('shows no peer that is connected anew while the link is cut one way: no such link can be made', () => {
    wan.apply({ split: [['eu', 'us']], oneWay: true });
    below.lower(EU);
    below.raise(EU);
    wan.apply({ loss: 0.1 });
    expect(told).toEqual(['down eu-1: lowered']);
    expect([wan.isUp(EU), ...send(EU, 1)]).toEqual([false, false]);
    wan.apply({ heal: true });
    expect(told).toEqual(['down eu-1: lowered', 'up eu-1']);
  });

  it('says a split once, however often it is asked for, and heals before it splits in one change', () => {
    wan.apply({ split: [['us', 'eu']] });
    wan.apply({ split: [['eu', 'us']] });
    expect(told).toEqual(['down eu-1: split']);
    wan.apply({ heal: true, split: [['us', 'ap']] });
    expect(told.slice(1).toSorted()).toEqual(['down ap-1: split', 'up eu-1']);
    expect(wan.status().split).toEqual([['us', 'ap']]);
  });

  it('loses what is on its way to a peer that goes down, and no more', () => {
    send(EU, 1);
    send(AP, 2);
    below.lower(EU);
    expect(told).toEqual(['down eu-1: lowered']);
    expect(send(EU, 3)).toEqual([false]);
    below.raise(EU);
    send(EU, 4);
    clock.pass(100);
    expect([ids(), ids(AP)]).toEqual([[4], [2]]);
  });

  it('takes no more for a link than its bound', async () => {
    await open({ bytesMax: 5_000 });
    let taken = 0;
    while (wan.send(EU, carrying(taken, new Uint8Array(500)))) taken++;
    expect(taken).toBeGreaterThan(8);
    expect(taken).toBeLessThan(11);
    expect(wan.bufferedBytes(EU)).toBeGreaterThanOrEqual(5_000);
    expect(wan.send(AP, carrying(1))).toBe(true);
    clock.pass(45);
    expect(ids()).toHaveLength(taken);
    expect(wan.send(EU, carrying(99))).toBe(true);
  });

  it('waits with what the transport below has no room for', () => {
    send(EU, 1, 2);
    below.isFull = true;
    clock.pass(200);
    expect(ids()).toEqual([]);
    below.isFull = false;
    clock.pass(10);
    expect(ids()).toEqual([1, 2]);
  });

  it('loses what is on its way at a stop, and leaves no timer behind', async () => {
    send(EU, 1);
    await wan.stop();
    expect(clock.timers).toBe(0);
    expect(told).toHaveLength(3);
    expect(send(EU, 2)).toEqual([false]);
  });

  it('tells what is in force', () => {
    wan.apply({ split: [['us', 'eu']], rtt: { 'ap|eu': 200 }, loss: 0.01 });
    wan.apply({ split: [['eu', 'ap']], oneWay: true });
    expect(wan.status()).toEqual({
      region: 'us',
      regions: ['us', 'eu', 'ap'],
      rtt: { 'eu|us': 90, 'ap|us': 160, 'ap|eu': 200 },
      split: [['us', 'eu']],
      oneWay: [['eu', 'ap']],
      loss: 0.01,
    });
  });

  const wrong: readonly [unknown, RegExp][] = [
    [null, /a change is an object/],
    [[], /a change is an object/],
    ['split', /a change is an object/],
    [{ splits: [] }, /"splits" is no field of a change; there are split, oneWay, heal, rtt, loss/],
    [{ split: 'us' }, /split is a list of pairs/],
    [{ split: [['us']] }, /split is a list of pairs/],
    [{ split: [['us', 'eu', 'ap']] }, /split is a list of pairs/],
    [{ split: [['us', 'mars']] }, /"mars" is no region of this cluster; there are us, eu, ap/],
    [{ split: [['us', 5]] }, /5 is no region/],
    [{ split: [['us', 'us']] }, /between two regions/],
    [{ heal: 1 }, /heal is true or false/],
    [{ oneWay: 'yes' }, /oneWay is true or false/],
    [{ rtt: [] }, /rtt is an object/],
    [{ rtt: { us: 5 } }, /"us" is no pair of regions/],
    [{ rtt: { 'us|eu|ap': 5 } }, /no pair of regions/],
    [{ rtt: { 'us|mars': 5 } }, /"mars" is no region/],
    [{ rtt: { 'us|eu': -1 } }, /from 0 to 60000 ms/],
    [{ rtt: { 'us|eu': '5' } }, /from 0 to 60000 ms/],
    [{ rtt: { 'us|eu': Number.NaN } }, /from 0 to 60000 ms/],
    [{ loss: 1 }, /loss is a share from 0 to 0.9/],
    [{ loss: '0.1' }, /loss is a share/],
  ];
  it('says what is wrong with a change, and makes none of it', () => {
    const before = wan.status();
    for (const [change, problem] of wrong) {
      expect(wan.apply(change)).toMatch(problem);
      if (typeof change === 'object' && change !== null && !('split' in change) && !Array.isArray(change))
        expect(wan.apply({ split: [['us', 'eu']], ...change })).toMatch(problem);
    }
    expect(wan.status()).toEqual(before);
    expect(told).toEqual([]);
  });
});
