import { NO_SEQUENCE } from '@meridian/core/ids';
import { StoreFailedError } from '@meridian/server/ports/store';
import { describe, expect, it } from 'vitest';
import { ALL, append, FIRST, failureOf, key, LAST, put, text } from './moves.ts';
import type { StoreUnderTest } from './subject.ts';

/** The end of a store. */
export function describeClosing(subject: StoreUnderTest): void {
  describe('closing', () => {
    it('finishes what was asked for, then refuses', async () => {
      const updates = Array.from({ length: 200 }, (_, at) => append(subject.store, 'k', `${at % 10}`));
      await subject.store.close();
      expect((await Promise.all(updates)).at(-1)).toHaveLength(200);
      const refused = [
        put(subject.store, 'a', '1'),
        subject.store.get(key('a')),
        subject.store.scan(FIRST, LAST, ALL),
        subject.store.changes(NO_SEQUENCE, ALL),
        subject.store.setNote('a', '1'),
        subject.store.renewId(),
        subject.store.forgetPositions(),
        subject.store.figures(),
      ];
      for (const call of refused) expect(await failureOf(call)).toBeInstanceOf(StoreFailedError);
      await subject.reopen();
      expect(text(await subject.store.get(key('k')))).toHaveLength(200);
      expect(await subject.store.get(key('a'))).toBeUndefined();
    });
  });
}
