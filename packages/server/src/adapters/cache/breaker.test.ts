import { describe, expect, it } from 'vitest';
import { ProcessClock, VirtualTime } from '../../../../../test/simulation/virtual-time.ts';
import { Breaker, FAILURES_TO_OPEN, PROBE_AFTER_MS } from './breaker.ts';

interface Bed {
  readonly breaker: Breaker;
  readonly pass: (ms: number) => Promise<void>;
  /** When probes were sent. */
  readonly probedAtMs: number[];
  readonly told: string[];
  isAnswering: boolean;
}

function bed(): Bed {
  const time = new VirtualTime();
  const pass = async (ms: number): Promise<void> => {
    let isOver = false;
    time.at(ms, () => {
      isOver = true;
    });
    await time.run(() => isOver);
  };
  const probedAtMs: number[] = [];
  const told: string[] = [];
  const state = { isAnswering: false };
  const breaker = new Breaker({
    clock: new ProcessClock(time, 0),
    probe: async () => {
      probedAtMs.push(time.nowMs);
      return state.isAnswering;
    },
    onOpen: () => told.push('open'),
    onClosed: () => told.push('closed'),
  });
  return Object.assign(state, { breaker, pass, probedAtMs, told });
}

function fail(breaker: Breaker, times: number): void {
  for (let count = 0; count < times; count++) breaker.failed();
}

describe('a breaker', () => {
  it('opens after some failures in a short time, not before', () => {
    const { breaker, told } = bed();
    fail(breaker, FAILURES_TO_OPEN - 1);
    expect(breaker.isClosed).toBe(true);
    fail(breaker, 1);
    expect([breaker.state, breaker.opened, told]).toEqual(['open', 1, ['open']]);
  });

  it('does not add up what fails now and then', async () => {
    const { breaker, pass } = bed();
    for (let count = 0; count < 20; count++) {
      fail(breaker, 1);
      await pass(400);
    }
    expect(breaker.isClosed).toBe(true);
  });

  it('stays closed where nearly all goes well', () => {
    const { breaker } = bed();
    for (let count = 0; count < 100; count++) {
      for (let well = 0; well < 9; well++) breaker.succeeded();
      fail(breaker, 1);
    }
    expect(breaker.isClosed).toBe(true);
  });

  it('probes ever more seldom, within bounds, and closes at the first answer', async () => {
    const state = bed();
    const { breaker, pass, probedAtMs, told } = state;
    fail(breaker, FAILURES_TO_OPEN);
    await pass(20_000);
    const waits = probedAtMs.map((at, probe) => at - (probedAtMs[probe - 1] ?? 0));
    expect(waits.slice(0, 5)).toEqual([1, 2, 4, 8, 10].map((times) => times * PROBE_AFTER_MS));
    state.isAnswering = true;
    await pass(10 * PROBE_AFTER_MS);
    expect([breaker.state, told]).toEqual(['closed', ['open', 'closed']]);
    fail(breaker, FAILURES_TO_OPEN - 1);
    expect(breaker.isClosed).toBe(true);
  });

  it('probes no more once it is stopped', async () => {
    const { breaker, pass, probedAtMs } = bed();
    fail(breaker, FAILURES_TO_OPEN);
    breaker.stop();
    await pass(10_000);
    expect(probedAtMs).toEqual([]);
  });
});
