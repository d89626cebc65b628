import type { VersionVector } from '@meridian/core/causality/version-vector';
import type { Condition } from '@meridian/core/coordination/paxos/change';
import type { RecordKey } from '@meridian/core/ids';
import type { Namespace } from '@meridian/core/placement/namespace';
import { MeridianError } from '@meridian/core/wire/errors';
import type { Seal } from '../../ports/seal.ts';
import type { WriteConditions } from '../service.ts';

/** Tags that one request may name. */
const TAGS_MAX = 64;
const IDEMPOTENCY_KEY_BYTES_MAX = 256;
/** Of a MAC of 132 bits. */
const REQUEST_ID_LENGTH = 22;
const utf8 = new TextEncoder();

/** The entity tag of a register's version, without quotes. With the namespace's generation: one made again under its name counts anew. */
export function registerTag({ id, name }: Namespace, version: number): string {
  return `v${version}.${id.slice(name.length + 1)}`;
}

/**
 * What a change depends on. A context stands for the version that the client has read: a change that rests on it must not
 * hide another that was made since.
 * @throws INVALID_PARAMETER
 */
export function conditionOf(
  namespace: Namespace,
  { ifMatch, ifNoneMatch }: WriteConditions = {},
  seen: VersionVector | undefined,
  onlyIfAbsent: boolean,
): Condition {
  if (ifMatch !== undefined && (ifNoneMatch !== undefined || onlyIfAbsent))
    throw new MeridianError('INVALID_PARAMETER', 'a change takes "If-Match" or "If-None-Match", not both');
  if (onlyIfAbsent) return { kind: 'absent' };
  if (ifNoneMatch !== undefined) {
    if (ifNoneMatch.trim() !== '*')
      throw new MeridianError('INVALID_PARAMETER', '"If-None-Match" of a change is "*": there must be no live value', {
        parameter: 'If-None-Match',
      });
    return { kind: 'absent' };
  }
  if (ifMatch !== undefined) return ifMatch.trim() === '*' ? { kind: 'present' } : versionsOf(namespace, ifMatch);
  if (seen === undefined) return { kind: 'always' };
  return { kind: 'seen', version: Math.max(0, ...seen.values()) };
}

/** Strong comparison: a weak tag, or one of another namespace, matches nothing. */
function versionsOf(namespace: Namespace, header: string): Condition {
  const versions: number[] = [];
  for (const [, weak, text = ''] of header.matchAll(/(W\/)?"([^"]*)"/g)) {
    const version = /^v([1-9][0-9]{0,15})\./.exec(text)?.[1];
    if (weak === undefined && version !== undefined && registerTag(namespace, Number(version)) === text)
      versions.push(Number(version));
    if (versions.length > TAGS_MAX)
      throw new MeridianError('INVALID_PARAMETER', `"If-Match" names more than ${TAGS_MAX} tags`, {
        parameter: 'If-Match',
      });
  }
  return { kind: 'versions', versions };
}

/** What a register remembers of a client's idempotency key. @throws INVALID_PARAMETER */
export function requestIdOf(seal: Seal, key: RecordKey, idempotencyKey: string | undefined): string | null {
  if (idempotencyKey === undefined) return null;
  const bytes = utf8.encode(idempotencyKey);
  if (bytes.length === 0 || bytes.length > IDEMPOTENCY_KEY_BYTES_MAX)
    throw new MeridianError('INVALID_PARAMETER', `"Idempotency-Key" has 1 to ${IDEMPOTENCY_KEY_BYTES_MAX} bytes`, {
      parameter: 'Idempotency-Key',
    });
  return seal.seal(`request\0${key}`, bytes).slice(-REQUEST_ID_LENGTH);
}
