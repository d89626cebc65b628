import type { VersionVector } from '@meridian/core/causality/version-vector';
import { CLIENTS_KEY_LENGTH, REQUEST_ID_LENGTH_MAX } from '@meridian/core/coordination/paxos/applied-requests';
import type { Condition } from '@meridian/core/coordination/paxos/change';
import type { RecordKey } from '@meridian/core/ids';
import type { Namespace } from '@meridian/core/placement/namespace';
import { MeridianError } from '@meridian/core/wire/errors';
import type { Hashes } from '../../ports/hash.ts';
import type { Seal } from '../../ports/seal.ts';
import type { PutValue, WriteConditions } from '../service.ts';

/** Tags that one request may name. */
const TAGS_MAX = 64;
const IDEMPOTENCY_KEY_BYTES_MAX = 256;
/** Of 72 bits, in characters of 6. */
const FINGERPRINT_LENGTH = REQUEST_ID_LENGTH_MAX - CLIENTS_KEY_LENGTH;
/** The MAC at the end of what is sealed. */
const MAC_LENGTH = 22;
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
  const version = seen && Math.max(0, ...seen.values());
  if (ifMatch !== undefined) return ifMatch.trim() === '*' ? presentAs(version) : versionsOf(namespace, ifMatch);
  return version === undefined ? { kind: 'always' } : { kind: 'seen', version };
}

/** Any live value, or, where the client says which version it has seen, that one: no other may be hidden unseen. */
function presentAs(version: number | undefined): Condition {
  if (version === undefined) return { kind: 'present' };
  return { kind: 'versions', versions: version === 0 ? [] : [version] };
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

/** What a client asks of a key. A repeat of its request asks the same. */
export interface Asked {
  /** `undefined` deletes. */
  readonly value: PutValue | undefined;
  readonly onlyIfAbsent: boolean;
  readonly condition: Condition;
}

/**
 * What a register remembers of a client's request: its idempotency key, and what was asked under it, so that one key cannot
 * answer for two requests. @throws INVALID_PARAMETER
 */
export function requestIdOf(
  { seal, hashes }: { readonly seal: Seal; readonly hashes: Hashes },
  key: RecordKey,
  idempotencyKey: string | undefined,
  asked: Asked,
): string | null {
  if (idempotencyKey === undefined) return null;
  const bytes = utf8.encode(idempotencyKey);
  if (bytes.length === 0 || bytes.length > IDEMPOTENCY_KEY_BYTES_MAX)
    throw new MeridianError('INVALID_PARAMETER', `"Idempotency-Key" has 1 to ${IDEMPOTENCY_KEY_BYTES_MAX} bytes`, {
      parameter: 'Idempotency-Key',
    });
  const keyText = macOf(seal, `request\0${key}`, bytes).slice(0, CLIENTS_KEY_LENGTH);
  return keyText + macOf(seal, 'asked', utf8.encode(textOf(hashes, asked))).slice(0, FINGERPRINT_LENGTH);
}

function macOf(seal: Seal, purpose: string, payload: Uint8Array): string {
  return seal.seal(purpose, payload).slice(-MAC_LENGTH);
}

/** The same for all repeats of a request, at every node and in every version: registers remember it. */
function textOf(hashes: Hashes, { value, onlyIfAbsent, condition }: Asked): string {
  const kind = value ? (onlyIfAbsent ? 'create' : 'put') : 'delete';
  const versions =
    condition.kind === 'versions' ? condition.versions : condition.kind === 'seen' ? [condition.version] : [];
  const what = value ? [hashes.bytes(value.body).toString(16), value.contentType, value.ttlSeconds ?? null] : [];
  return JSON.stringify([kind, condition.kind, versions, ...what]);
}
