import { describe, expect, it } from 'vitest';
import { WriteGate } from './write-gate.ts';

const settled = (work: Promise<unknown> | undefined) =>
  Promise.race([
    Promise.resolve(work).then(
      () => 'through',
      (error: { code: string }) => error.code,
    ),
    new Promise((resolve) => setImmediate(resolve, 'waits')),
  ]);

describe('the write gate', () => {
  it('is open at first, and lets through who waited once it opens again', async () => {
    const gate = new WriteGate();
    expect(gate.wait()).toBeUndefined();
    gate.hold();
    const waiting = gate.wait();
    expect(await settled(waiting)).toBe('waits');
    gate.hold();
    gate.open();
    expect(await settled(waiting)).toBe('through');
    expect(gate.wait()).toBeUndefined();
  });

  it('calls what must be done first when somebody waits, once', async () => {
    const gate = new WriteGate();
    let called = 0;
    gate.holdUntilWanted(() => called++);
    expect(called).toBe(0);
    gate.hold();
    gate.holdUntilWanted(() => called++);
    expect([called, gate.isReady]).toEqual([0, true]);
    const waiting = [gate.wait(), gate.wait()];
    expect([called, gate.isReady]).toEqual([1, false]);
    expect(await settled(waiting[1])).toBe('waits');
    gate.open();
    expect(await settled(waiting[0])).toBe('through');
  });

  it('lets nobody through when the node stops', async () => {
    const gate = new WriteGate();
    gate.hold();
    const waiting = gate.wait();
    gate.refuse();
    expect(await settled(waiting)).toBe('SHUTTING_DOWN');
    expect(await settled(gate.wait())).toBe('SHUTTING_DOWN');
  });
});
