import { describe, expect, it } from 'vitest';
import type { Finding } from './finding.ts';
import type { Recorder } from './recorder.ts';
import { checkConverged, checkSessions } from './sessions.ts';
import { operationsIn, steadyRecorder } from './testing.ts';

const names = (findings: readonly Finding[]) => findings.map(({ check }) => check);

class Sessions {
  readonly recorder: Recorder = steadyRecorder();

  write(
    session: string,
    key: string,
    id: string,
    over: readonly string[] = [],
    type: 'ok' | 'fail' | 'info' = 'ok',
  ): this {
    const value = { id, over };
    this.recorder.invoke(this.recorder.newProcess(), { f: 'write', key, value, session })({ type });
    return this;
  }

  read(session: string | undefined, key: string, ...ids: readonly string[]): this {
    this.recorder.invoke(this.recorder.newProcess(), { f: 'read', key, session })({ type: 'ok', value: ids });
    return this;
  }

  found(): readonly string[] {
    return names(checkSessions(operationsIn(this.recorder)));
  }
}

describe('the check of session guarantees', () => {
  it('names the guarantee that was broken', () => {
    expect(new Sessions().write('s', 'x', 'a').read('s', 'x').found()).toEqual(['read your writes']);
    expect(new Sessions().write('t', 'x', 'a').read('s', 'x', 'a').read('s', 'x').found()).toEqual(['monotonic reads']);
    const afterTwo = new Sessions().write('t', 'x', 'a').write('t', 'y', 'b').read('s', 'y', 'b');
    expect(afterTwo.read('s', 'x').found()).toEqual(['monotonic writes']);
    const answered = new Sessions().write('t', 'x', 'a').read('u', 'x', 'a').write('u', 'y', 'b').read('s', 'y', 'b');
    expect(answered.read('s', 'x').found()).toEqual(['writes follow reads']);
  });

  it('takes a value that replaced another, at however many removes, for having seen it', () => {
    const chain = new Sessions().write('s', 'x', 'a').write('t', 'x', 'b', ['a']).write('u', 'x', 'c', ['b'], 'info');
    expect(chain.read('s', 'x', 'c').found()).toEqual([]);
    expect(chain.read('s', 'x', 'b').found()).toEqual(['monotonic reads']);
  });

  it('owes nothing to writes that failed or were not answered, nor to other sessions', () => {
    const unsure = new Sessions()
      .write('s', 'x', 'a', [], 'fail')
      .write('s', 'x', 'b', [], 'info')
      .write('t', 'x', 'c');
    expect(unsure.read('s', 'x').found()).toEqual([]);
  });

  it('hears at second hand', () => {
    const heard = new Sessions()
      .write('t', 'x', 'a')
      .write('t', 'y', 'b')
      .read('u', 'y', 'b')
      .write('u', 'z', 'c')
      .read('s', 'z', 'c');
    expect(heard.read('s', 'y').read('s', 'x').found()).toEqual(['writes follow reads', 'monotonic writes']);
  });
});

describe('the check of quiet regions', () => {
  const converged = (writes: Sessions, finals: Sessions) =>
    names(checkConverged(operationsIn(writes.recorder), operationsIn(finals.recorder)));
  const writes = () => new Sessions().write('s', 'x', 'a').write('t', 'x', 'b').write('u', 'x', 'c', ['a'], 'info');

  it('lets all that was acknowledged be there or be replaced, alike everywhere', () => {
    expect(converged(writes(), new Sessions().read(undefined, 'x', 'a', 'b').read(undefined, 'x', 'b', 'a'))).toEqual(
      [],
    );
    expect(converged(writes(), new Sessions().read(undefined, 'x', 'c', 'b'))).toEqual([]);
  });

  it('finds what is lost, what differs, and what failed but is there', () => {
    expect(converged(writes(), new Sessions().read(undefined, 'x', 'c'))).toEqual(['lost write']);
    expect(converged(writes(), new Sessions().read(undefined, 'x', 'a', 'b').read(undefined, 'x', 'c', 'b'))).toEqual([
      'convergence',
    ]);
    const failed = writes().write('v', 'x', 'd', ['a', 'b'], 'fail');
    expect(converged(failed, new Sessions().read(undefined, 'x', 'd'))).toEqual(['failed write seen']);
  });
});
