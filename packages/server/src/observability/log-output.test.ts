import { describe, expect, it } from 'vitest';
import { LogOutput, WAITING_CHARS_MAX } from './log-output.ts';

/** A file or pipe that takes what the test lets it take. */
class FakeOutput {
  text = '';
  /** Before it fails; for ever by default. */
  room = Number.POSITIVE_INFINITY;
  code = 'EAGAIN';
  retries: (() => void)[] = [];
  readonly lost: number[] = [];
  readonly output = new LogOutput({
    write: (bytes) => {
      const taken = Math.min(bytes.length, this.room);
      if (taken === 0) throw Object.assign(new Error('no room'), { code: this.code });
      this.text += bytes.subarray(0, taken).toString();
      this.room -= taken;
      return taken;
    },
    retryLater: (retry) => this.retries.push(retry),
    onLost: (lines) => this.lost.push(lines),
  });

  retry(): void {
    for (const retry of this.retries.splice(0)) retry();
  }
}

describe('the output of a log', () => {
  it('takes lines as they come', () => {
    const fake = new FakeOutput();
    for (const line of ['a\n', 'b\n', 'ä\n']) fake.output.write(line);
    expect(fake.text).toBe('a\nb\nä\n');
    expect(fake.retries).toEqual([]);
  });

  it('keeps lines for a reader that stands still, in their order, and the one that was cut', () => {
    const fake = new FakeOutput();
    fake.room = 5;
    for (const line of ['first\n', 'second\n', 'third\n']) fake.output.write(line);
    expect(fake.text).toBe('first');
    expect(fake.retries).toHaveLength(1);
    fake.retry();
    expect(fake.retries).toHaveLength(1);
    fake.room = Number.POSITIVE_INFINITY;
    fake.retry();
    expect(fake.text).toBe('first\nsecond\nthird\n');
    expect(fake.lost).toEqual([]);
  });

  it('keeps no more than so much, and says how many lines it has lost once there is a reader again', () => {
    const fake = new FakeOutput();
    fake.room = 0;
    const line = `${'x'.repeat(999)}\n`;
    // And the one that is on its way.
    const kept = 1 + Math.floor(WAITING_CHARS_MAX / line.length);
    for (let at = 0; at < kept + 7; at++) fake.output.write(line);
    fake.room = Number.POSITIVE_INFINITY;
    fake.retry();
    expect(fake.text.length).toBe(kept * line.length);
    expect(fake.lost).toEqual([7]);
  });

  it('loses what a full disk does not take, and goes on with a line of its own once there is room', () => {
    const fake = new FakeOutput();
    fake.code = 'ENOSPC';
    fake.room = 3;
    fake.output.write('first\n');
    fake.output.write('second\n');
    expect(fake.text).toBe('fir');
    expect(fake.retries).toEqual([]);
    fake.room = Number.POSITIVE_INFINITY;
    fake.output.write('third\n');
    expect(fake.text).toBe('fir\nthird\n');
    expect(fake.lost).toEqual([2]);
  });

  it('says nothing more to a reader that is gone', () => {
    const fake = new FakeOutput();
    fake.code = 'EPIPE';
    fake.room = 0;
    fake.output.write('first\n');
    fake.room = Number.POSITIVE_INFINITY;
    fake.output.write('second\n');
    expect([fake.text, fake.lost, fake.retries]).toEqual(['', [], []]);
  });
});
