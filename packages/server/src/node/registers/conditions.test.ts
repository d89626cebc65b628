import { EMPTY_VECTOR } from '@meridian/core/causality/version-vector';
import { CLIENTS_KEY_LENGTH } from '@meridian/core/coordination/paxos/applied-requests';
import { type RecordKey, recordKey, type Sequence, type StoreId } from '@meridian/core/ids';
import type { Namespace } from '@meridian/core/placement/namespace';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { keyedSeal } from '../../adapters/system/keyed-seal.ts';
import { xxh3Hashes } from '../../adapters/system/xxh3-hashes.ts';
import { DEFAULT_DEFINITION, namespaceIdFor } from '../catalog.ts';
import { codeOf } from '../cluster.testing.ts';
import type { PutValue } from '../service.ts';
import { type Asked, conditionOf, registerTag, requestIdOf } from './conditions.ts';

const { isDropped: _isDropped, ...settings } = DEFAULT_DEFINITION;
const namespaceOf = (generation: number, name = 'shop'): Namespace => ({
  ...settings,
  id: namespaceIdFor(name, generation),
  name,
});
const SHOP = namespaceOf(1);
const seenUpTo = (version: number) => new Map([['us-1.a' as StoreId, version as Sequence]]);
const condition = (ifMatch?: string, ifNoneMatch?: string, seen?: ReturnType<typeof seenUpTo>, onlyIfAbsent = false) =>
  conditionOf(SHOP, { ifMatch, ifNoneMatch }, seen, onlyIfAbsent);
const codeOfCondition = (...sent: Parameters<typeof condition>) =>
  codeOf(Promise.resolve().then(() => condition(...sent)));
const matching = (header: string) => condition(header);
const versions = (...named: number[]) => ({ kind: 'versions', versions: named });

describe('the condition of a change', () => {
  it('is none where nothing is named', () => {
    expect(conditionOf(SHOP, undefined, undefined, false)).toEqual({ kind: 'always' });
    expect(condition()).toEqual({ kind: 'always' });
  });

  it('is that there is no live value, for a create and for If-None-Match: *', () => {
    expect(condition(undefined, undefined, undefined, true)).toEqual({ kind: 'absent' });
    expect(condition(undefined, ' * ')).toEqual({ kind: 'absent' });
    expect(condition(undefined, '*', seenUpTo(3))).toEqual({ kind: 'absent' });
  });

  it('is any live value for If-Match: *, and else one of the tags that it names', () => {
    expect(matching(' * ')).toEqual({ kind: 'present' });
    expect(matching('"v3.1"')).toEqual(versions(3));
    expect(matching('"v3.1", "v12.1","v1.1"')).toEqual(versions(3, 12, 1));
  });

  it.each([
    ['a weak tag', 'W/"v3.1"'],
    ['a tag of another generation of the namespace', '"v3.2"'],
    ['a tag of another kind', '"v3"'],
    ['no version', '"v0.1"'],
    ['a version written otherwise', '"v03.1"'],
    ['a negative version', '"v-3.1"'],
    ['a version beyond all numbers', `"v${'9'.repeat(17)}.1"`],
    ['more than a tag', '"v3.1 "'],
    ['no quotes', 'v3.1'],
    ['nothing', ''],
  ])('matches nothing for %s', (_what, header) => {
    expect(matching(header)).toEqual(versions());
  });

  it('takes of several tags those that can match', () => {
    expect(matching('W/"v3.1", "v4.1", "other", "v5.2"')).toEqual(versions(4));
  });

  it('is the version that the context has seen, a tombstone or nothing included', () => {
    expect(condition(undefined, undefined, seenUpTo(7))).toEqual({ kind: 'seen', version: 7 });
    expect(condition(undefined, undefined, new Map(EMPTY_VECTOR))).toEqual({ kind: 'seen', version: 0 });
    // A tag says more than a context.
    expect(condition('"v3.1"', undefined, seenUpTo(7))).toEqual(versions(3));
  });

  it('is the live value of the version that the context has seen, for If-Match: * with a context', () => {
    expect(condition('*', undefined, seenUpTo(7))).toEqual(versions(7));
    expect(condition('*', undefined, new Map(EMPTY_VECTOR))).toEqual(versions());
  });

  it('is refused where it contradicts itself, or is none that a change can have', async () => {
    expect(await codeOfCondition('"v3.1"', '*')).toBe('INVALID_PARAMETER');
    expect(await codeOfCondition('"v3.1"', undefined, undefined, true)).toBe('INVALID_PARAMETER');
    for (const header of ['"v3.1"', '', '"*"', '*, "v1.1"'])
      expect(await codeOfCondition(undefined, header)).toBe('INVALID_PARAMETER');
  });

  it('names no more than 64 tags', async () => {
    const tags = (count: number) => new Array(count).fill('"v3.1"').join(',');
    expect(matching(tags(64))).toEqual(versions(...new Array(64).fill(3)));
    expect(await codeOfCondition(tags(65))).toBe('INVALID_PARAMETER');
  });

  it('is made of whatever a client sends, or refused', () => {
    fc.assert(
      fc.property(fc.string(), (header) => {
        const made = condition(header);
        expect(['versions', 'present']).toContain(made.kind);
      }),
    );
  });
});

describe('the tag of a version', () => {
  it('is another in each generation of a namespace, and matches in its own', () => {
    const tags = new Set<string>();
    for (const generation of [1, 2, 40])
      for (const version of [1, 2, 11]) {
        const namespace = namespaceOf(generation);
        const tag = registerTag(namespace, version);
        tags.add(tag);
        expect(conditionOf(namespace, { ifMatch: `"${tag}"` }, undefined, false)).toEqual(versions(version));
        expect(conditionOf(namespaceOf(generation + 1), { ifMatch: `"${tag}"` }, undefined, false)).toEqual(versions());
      }
    expect(tags.size).toBe(9);
  });

  it('is that of the namespace also where its name has a point or a number in it', () => {
    const namespace = namespaceOf(2, 'shop-1_2');
    expect(conditionOf(namespace, { ifMatch: `"${registerTag(namespace, 5)}"` }, undefined, false)).toEqual(
      versions(5),
    );
  });
});

describe('the id of a request', () => {
  const seal = keyedSeal(new Uint8Array(32).fill(1));
  const key = recordKey(SHOP.id, 'key');
  const encoder = new TextEncoder();
  const putOf = (text: string, more: Partial<PutValue> = {}): PutValue => ({
    body: encoder.encode(text),
    contentType: 'text/plain',
    ...more,
  });
  const asking = (more: Partial<Asked> = {}): Asked => ({
    value: putOf('value'),
    onlyIfAbsent: false,
    condition: { kind: 'always' },
    ...more,
  });
  const idOf = (text: string | undefined, of: RecordKey = key, asked = asking()) =>
    requestIdOf({ seal, hashes: xxh3Hashes }, of, text, asked);

  it('is the same at every node of the cluster, and of no other', () => {
    const idBy = (secret: number) =>
      requestIdOf({ seal: keyedSeal(new Uint8Array(32).fill(secret)), hashes: xxh3Hashes }, key, 'order-7', asking());
    expect(idOf('order-7')).toBe(idBy(1));
    expect(idOf('order-7')).not.toBe(idBy(2));
    expect(idOf(undefined)).toBeNull();
  });

  it('tells idempotency keys apart, and keys of the store, and fits the wire', () => {
    const texts = ['order-7', 'order-8', 'Order-7', 'é', 'x'.repeat(256)];
    const keys = [key, recordKey(SHOP.id, 'key2'), recordKey(namespaceIdFor('shop', 2), 'key')];
    const ids = texts.flatMap((text) => keys.map((of) => idOf(text, of) as string));
    expect(new Set(ids).size).toBe(ids.length);
    expect(new Set(ids.map((id) => id.slice(0, CLIENTS_KEY_LENGTH))).size).toBe(ids.length);
    for (const id of ids) expect(id).toMatch(/^[\w-]{32}$/);
  });

  it('begins with what registers have kept of the idempotency key before they kept more', () => {
    const before = seal.seal(`request\0${key}`, encoder.encode('order-7')).slice(-22);
    expect(idOf('order-7')?.slice(0, CLIENTS_KEY_LENGTH)).toBe(before.slice(0, CLIENTS_KEY_LENGTH));
  });

  it('ends in the same way for the same request alone', () => {
    const requests: readonly Asked[] = [
      asking(),
      asking({ onlyIfAbsent: true, condition: { kind: 'absent' } }),
      asking({ condition: { kind: 'absent' } }),
      asking({ condition: { kind: 'present' } }),
      asking({ condition: { kind: 'versions', versions: [] } }),
      asking({ condition: { kind: 'versions', versions: [1, 2] } }),
      asking({ condition: { kind: 'versions', versions: [12] } }),
      asking({ condition: { kind: 'seen', version: 12 } }),
      asking({ value: putOf('other') }),
      asking({ value: putOf('') }),
      asking({ value: putOf('value', { contentType: 'text/html' }) }),
      asking({ value: putOf('value', { ttlSeconds: 0 }) }),
      asking({ value: putOf('value', { ttlSeconds: 60 }) }),
      asking({ value: undefined }),
      asking({ value: undefined, condition: { kind: 'present' } }),
    ];
    const idsOf = (idempotencyKey: string) => requests.map((asked) => idOf(idempotencyKey, key, asked) as string);
    const ids = idsOf('order-7');
    expect(new Set(ids.map((id) => id.slice(CLIENTS_KEY_LENGTH))).size).toBe(requests.length);
    expect(new Set(ids.map((id) => id.slice(0, CLIENTS_KEY_LENGTH))).size).toBe(1);
    expect(idsOf('order-7')).toEqual(ids);
  });

  it('is refused for an idempotency key of no bytes, or of too many', async () => {
    for (const text of ['', 'x'.repeat(257), 'é'.repeat(129)])
      expect(await codeOf(Promise.resolve().then(() => idOf(text)))).toBe('INVALID_PARAMETER');
  });
});
