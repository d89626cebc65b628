import { describe, expect, it } from 'vitest';
import { TIME_MS_MAX } from '../../causality/hybrid-clock.ts';
import type { StoreId } from '../../ids.ts';
import {
  CLIENTS_KEY_LENGTH,
  mayBeForgotten,
  OWN_REQUEST_VERSIONS,
  outdatedRequests,
  ownRequestId,
  REQUEST_ID_LENGTH_MAX,
  REQUEST_KEEP_MS,
  REQUESTS_MAX,
} from './applied-requests.ts';
import { applyChange, type ChangeOutcome, type ChangeRequest, type ChangeSetting, type Condition } from './change.ts';
import { applied, P, Q, request, value } from './register.testing.ts';
import type { RegisterValue } from './register.ts';

const NOW = 1_000_000_000;
const SETTING: ChangeSetting = {
  proposer: P,
  ownId: ownRequestId(P, 7),
  wallMs: NOW,
  isExpired: false,
  agreedMs: null,
};
const apply = (
  current: RegisterValue | null,
  changes: Partial<ChangeRequest> = {},
  setting: Partial<ChangeSetting> = {},
): ChangeOutcome => applyChange(current, request(changes), { ...SETTING, ...setting });
const tombstone = value(3, { body: null });

describe('a change of a register', () => {
  it('makes the next version, by the proposing store, with the name of the request', () => {
    const { verdict, value: after } = apply(value(3), { body: Uint8Array.of(9), ttlMs: 500 });
    const told = { version: 4, timeMs: NOW, expiresAtMs: NOW + 500, existed: true };
    expect(verdict).toEqual({ kind: 'changed', ...told, writer: 'p.1' });
    expect(after).toEqual({
      ...value(4, { body: Uint8Array.of(9), timeMs: NOW, expiresAtMs: NOW + 500 }),
      requests: [{ id: 'life/7', isClients: false, ...told, writer: null }],
    });
  });

  it('is remembered with its writer where the client has named it', () => {
    expect(apply(value(3), { clientsId: 'key' }, { proposer: Q }).value?.requests).toEqual([
      applied('key', 4, { timeMs: NOW, writer: 'q.1' as StoreId }),
    ]);
  });

  it('begins with version 1, and goes on counting over tombstones', () => {
    expect(apply(null).verdict).toMatchObject({ kind: 'changed', version: 1, existed: false });
    expect(apply(tombstone).verdict).toMatchObject({ kind: 'changed', version: 4, existed: false });
  });

  it('is never earlier than what it follows, by whatever clock', () => {
    expect(apply(value(3, { timeMs: NOW + 99 })).value?.timeMs).toBe(NOW + 100);
    expect(apply(value(3, { timeMs: TIME_MS_MAX })).value?.timeMs).toBe(TIME_MS_MAX);
  });

  it('deletes by a tombstone that does not expire; of nothing alive it changes nothing', () => {
    const { verdict, value: after } = apply(value(3), { body: null, ttlMs: 5 });
    expect(verdict).toMatchObject({ kind: 'changed', version: 4, existed: true });
    expect(after).toMatchObject({ body: null, expiresAtMs: null });
    for (const nothing of [null, tombstone]) {
      const outcome = apply(nothing, { body: null });
      expect(outcome.value).toBe(nothing);
      expect(outcome.verdict).toMatchObject({ kind: 'unchanged', version: nothing?.version ?? 0, existed: false });
    }
  });
});

describe('a condition', () => {
  const live = value(3);
  const of = (...versions: number[]): Condition => ({ kind: 'versions', versions });
  it.each<readonly [Condition, RegisterValue | null, string]>([
    [{ kind: 'absent' }, null, 'changed'],
    [{ kind: 'absent' }, tombstone, 'changed'],
    [{ kind: 'absent' }, live, 'exists'],
    [{ kind: 'present' }, live, 'changed'],
    [{ kind: 'present' }, tombstone, 'condition-failed'],
    [{ kind: 'present' }, null, 'condition-failed'],
    [of(2, 3), live, 'changed'],
    [of(2, 4), live, 'condition-failed'],
    [of(), live, 'condition-failed'],
    [of(3), tombstone, 'condition-failed'],
  ])('%j on %j: %s', (condition, current, kind) => {
    const { verdict, value: after } = apply(current, { condition });
    expect(verdict.kind).toBe(kind);
    if (kind !== 'changed') {
      expect(after).toBe(current);
      expect(verdict.version).toBe(current?.version ?? 0);
    }
  });

  it('holds for deletes too', () => {
    expect(apply(live, { body: null, condition: of(2) }).verdict.kind).toBe('condition-failed');
    expect(apply(live, { body: null, condition: of(3) }).verdict.kind).toBe('changed');
    expect(apply(null, { body: null, condition: { kind: 'present' } }).verdict.kind).toBe('condition-failed');
  });
});

describe('a value that has expired', () => {
  const isExpired = true;
  const old = value(3, { expiresAtMs: 5, requests: [applied('k', 3, { expiresAtMs: 5 })] });

  it('is absent for a change', () => {
    expect(apply(old, { condition: { kind: 'absent' } }, { isExpired }).verdict).toMatchObject({
      kind: 'changed',
      version: 4,
      existed: false,
    });
  });

  it('leaves a tombstone where nothing else is to be changed, and that is what was found', () => {
    for (const changes of [{ body: null }, { condition: { kind: 'versions', versions: [3] } as const }]) {
      const { verdict, value: after } = apply(old, changes, { isExpired });
      expect(verdict).toMatchObject({ version: 4, existed: false, expiresAtMs: null });
      expect(after).toMatchObject({ version: 4, body: null, expiresAtMs: null, requests: old.requests });
    }
  });
});

describe('a request that comes again', () => {
  it('is answered with what it did, whatever has happened since and whatever its condition was', () => {
    const told = { existed: false, expiresAtMs: 77, writer: 'q.1' as StoreId };
    const current = value(9, { requests: [applied('key', 4, told)] });
    const { verdict, value: after } = apply(current, { clientsId: 'key', condition: { kind: 'absent' } });
    expect(verdict).toEqual({ kind: 'repeated', version: 4, timeMs: 40, ...told });
    expect(after).toBe(current);
  });

  it('names a writer also where none was kept, and its own where it is the proposer', () => {
    const current = value(9, {
      writer: 'q.1' as StoreId,
      requests: [applied('key', 4), applied('life/7', 5, { isClients: false })],
    });
    expect(apply(current, { clientsId: 'key' }).verdict).toMatchObject({ kind: 'repeated', version: 4, writer: 'q.1' });
    expect(apply(current).verdict).toMatchObject({ kind: 'repeated', version: 5, writer: 'p.1' });
  });

  it('is known by its own name where the client gave none', () => {
    const once = apply(value(3)).value;
    expect(apply(once).verdict).toMatchObject({ kind: 'repeated', version: 4 });
    expect(apply(once, {}, { ownId: ownRequestId(P, 9) }).verdict.kind).toBe('changed');
  });
});

describe('an idempotency key that comes again with another request', () => {
  const key = 'k'.repeat(CLIENTS_KEY_LENGTH);
  const idOf = (asked: string) => key + asked.repeat(REQUEST_ID_LENGTH_MAX - CLIENTS_KEY_LENGTH);
  const current = value(9, { requests: [applied(idOf('a'), 4)] });

  it('is refused, and changes nothing, whatever the condition is', () => {
    for (const condition of [{ kind: 'always' }, { kind: 'absent' }] as const) {
      const { verdict, value: after } = apply(current, { clientsId: idOf('b'), condition });
      expect(verdict).toMatchObject({ kind: 'key-reused', version: 9, writer: 'p.1' });
      expect(after).toBe(current);
    }
    expect(apply(current, { clientsId: idOf('a') }).verdict.kind).toBe('repeated');
    expect(apply(current, { clientsId: `x${idOf('b').slice(1)}` }).verdict.kind).toBe('changed');
  });

  it('is a repeat where it was kept, or is sent, without what was asked', () => {
    for (const [kept, sent] of [
      [`${key}kk`, idOf('b')],
      [idOf('a'), `${key}kk`],
    ] as const)
      expect(apply(value(9, { requests: [applied(kept, 4)] }), { clientsId: sent }).verdict).toMatchObject({
        kind: 'repeated',
        version: 4,
      });
  });

  it('is not taken for the name that a proposer gave to its own', () => {
    const own = value(9, { requests: [applied(idOf('a'), 4, { isClients: false })] });
    expect(apply(own, { clientsId: idOf('b') }).verdict.kind).toBe('changed');
    expect(apply(own, { clientsId: null }, { ownId: idOf('b') }).verdict.kind).toBe('changed');
  });
});

describe('requests are forgotten', () => {
  const named = (id: string, version: number) => applied(id, version, { isClients: false });

  it('where their own proposer makes its next change, or after so many versions', () => {
    const last = 65;
    const requests = [named('other/1', last - 63), named('other/3', last - 62), named('life/1', last)];
    const kept = apply(value(last, { requests })).value?.requests.map(({ id }) => id);
    expect(kept).toEqual(['other/3', 'life/7']);
    const others = [named('other/1', last - 63), named('life/1', last)];
    expect(apply(value(last, { requests: others }), {}, { proposer: Q }).value?.requests.map(({ id }) => id)).toEqual([
      'life/1',
      'life/7',
    ]);
    expect(mayBeForgotten(value(65), 2)).toBe(false);
    expect(mayBeForgotten(value(66), 2)).toBe(true);
    expect(OWN_REQUEST_VERSIONS).toBe(64);
  });

  it('of clients only where most clocks agree that they are old enough, with an hour to spare', () => {
    const current = value(9, { requests: [applied('key', 4, { timeMs: NOW })] });
    const keys = (agreedMs: number | null) => apply(current, {}, { agreedMs }).value?.requests.length;
    expect(keys(null)).toBe(2);
    expect(keys(NOW + 2 * REQUEST_KEEP_MS)).toBe(2);
    expect(keys(NOW + 2 * REQUEST_KEEP_MS + 1)).toBe(1);
    expect(outdatedRequests(current, NOW + 2 * REQUEST_KEEP_MS + 1)).toBe(1);
    expect(outdatedRequests(current, NOW)).toBe(0);
  });

  it('never because there are too many: then a client with a key is refused, and others are not', () => {
    const requests = Array.from({ length: REQUESTS_MAX }, (_, at) => applied(`k${at}`, at + 1, { timeMs: NOW }));
    const full = value(REQUESTS_MAX, { requests });
    const refused = apply(full, { clientsId: 'one more' }, { agreedMs: NOW });
    expect(refused.verdict.kind).toBe('too-many-requests');
    expect(refused.value).toBe(full);
    expect(apply(full, { clientsId: 'k5' }).verdict.kind).toBe('repeated');
    expect(apply(full, {}, { agreedMs: NOW }).value?.requests).toHaveLength(REQUESTS_MAX + 1);
    const later = NOW + 3 * REQUEST_KEEP_MS;
    expect(apply(full, { clientsId: 'one more' }, { agreedMs: later }).value?.requests).toHaveLength(1);
  });
});
