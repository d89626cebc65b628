import type { Dot } from '@meridian/core/causality/dot';
import { TIME_MS_MAX } from '@meridian/core/causality/hybrid-clock';
import { compareEntries } from '@meridian/core/causality/ledger';
import { compareSiblings, type LedgerEntry, type Sibling, type VersionedRecord } from '@meridian/core/causality/record';
import { covers, type VersionVector } from '@meridian/core/causality/version-vector';
import type { Sequence, StoreId } from '@meridian/core/ids';
import { MeridianError } from '@meridian/core/wire/errors';
import type { PortableRecord, PortableSibling } from './service.ts';

/** Records in the form that `/replicate/` takes and gives. */

export function toPortable(namespace: string, key: string, record: VersionedRecord): PortableRecord {
  const ledger = record.ledger.map(({ sibling, ...times }) => ({ ...portableSibling(sibling), ...times }));
  return {
    namespace,
    key,
    vector: Object.fromEntries(record.vector),
    siblings: record.siblings.map(portableSibling),
    ...(ledger.length === 0 ? {} : { ledger }),
  };
}

function portableSibling({ dot, timeMs, body, contentType, expiresAtMs, session }: Sibling): PortableSibling {
  return {
    store: dot.store,
    sequence: dot.sequence,
    timeMs,
    body: body === null ? null : body.toBase64(),
    contentType,
    expiresAtMs,
    ...(session.size === 0 ? {} : { session: Object.fromEntries(session) }),
  };
}

/** @throws INVALID_BODY where the record breaks an invariant of `VersionedRecord`. */
export function fromPortable(portable: PortableRecord): VersionedRecord {
  const vector = vectorFrom(portable.vector);
  const siblings = portable.siblings.map((sibling) => siblingFrom(sibling, vector)).sort(compareSiblings);
  const ledger = (portable.ledger ?? [])
    .map(
      (entry): LedgerEntry => ({
        sibling: siblingFrom(entry, vector),
        hiddenAtMs: timeFrom(entry.hiddenAtMs),
        keepUntilMs: timeFrom(entry.keepUntilMs),
      }),
    )
    .sort(compareEntries);
  const dots = [...siblings, ...ledger.map(({ sibling }) => sibling)].map(({ dot }) => `${dot.store}:${dot.sequence}`);
  if (new Set(dots).size < dots.length) throw invalid('a record names one write twice');
  return { vector, siblings, ledger };
}

/**
 * The year 6429. A value from the end of all times would leave its key no later one: each write to come would have the same,
 * and whatever a last-writer-wins choice hides would be beyond its time at once.
 */
const VALUE_TIME_MS_MAX = 2 ** 47;

const STORE_ID = /^[a-z0-9][a-z0-9._-]{0,120}\.[a-z0-9]{4,64}$/;

function vectorFrom(entries: Readonly<Record<string, number>>): VersionVector {
  const vector = new Map<StoreId, Sequence>();
  for (const [store, sequence] of Object.entries(entries)) {
    if (!STORE_ID.test(store)) throw invalid('a vector names what is no store id');
    if (!Number.isSafeInteger(sequence) || sequence < 1) throw invalid('a sequence is a whole number from 1');
    vector.set(store as StoreId, sequence as Sequence);
  }
  return vector;
}

function siblingFrom(portable: PortableSibling, vector: VersionVector): Sibling {
  const dot = { store: portable.store, sequence: portable.sequence } as Dot;
  if (!Number.isSafeInteger(dot.sequence) || dot.sequence < 1 || !covers(vector, dot))
    throw invalid('a value names a write that its vector has not seen');
  return {
    dot,
    timeMs: timeFrom(portable.timeMs, VALUE_TIME_MS_MAX),
    body: portable.body === null ? null : bodyFrom(portable.body),
    contentType: portable.contentType,
    expiresAtMs: portable.expiresAtMs === null ? null : timeFrom(portable.expiresAtMs),
    session: vectorFrom(portable.session ?? {}),
  };
}

function timeFrom(timeMs: number, maxMs = TIME_MS_MAX): number {
  if (!Number.isSafeInteger(timeMs) || timeMs < 0 || timeMs > maxMs) throw invalid('a time is out of range');
  return timeMs;
}

function invalid(detail: string): MeridianError {
  return new MeridianError('INVALID_BODY', detail);
}

function bodyFrom(text: string): Uint8Array {
  try {
    return Uint8Array.fromBase64(text);
  } catch {
    throw invalid('a body is not base64');
  }
}
