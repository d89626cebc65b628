import { sameDot } from './dot.ts';
import { mergeLedgers, sameEntry } from './ledger.ts';
import { compareSiblings, EMPTY_RECORD, type LedgerEntry, type Sibling, type VersionedRecord } from './record.ts';
import { covers, descends, EMPTY_VECTOR, join, type VersionVector } from './version-vector.ts';

export interface MergeOutcome {
  readonly record: VersionedRecord;
  /** Whether the local record must be written again. */
  readonly changed: boolean;
  /** Whether `record` holds exactly what came in, so that its bytes can be stored as they are. */
  readonly isIncoming: boolean;
}

/**
 * Merges a record that came from elsewhere into the local one. Keeps a sibling if the other side has it too, or has not
 * seen its dot; vectors join by maximum. Commutative, associative and idempotent.
 *
 * `applied` is the store's claim to have merged every dot of an origin up to a sequence. A sibling under that claim which
 * the local record does not hold was superseded here already, even where the record itself is long forgotten: so a late or
 * repeated message revives nothing (Gonçalves et al., *DottedDB*, 2017). Pass an empty vector to merge records alone.
 */
export function mergeRecords(
  local: VersionedRecord | undefined,
  incoming: VersionedRecord,
  applied: VersionVector = EMPTY_VECTOR,
): MergeOutcome {
  const before = local ?? EMPTY_RECORD;
  const keptLocal = before.siblings.filter(
    (sibling) => !covers(incoming.vector, sibling.dot) || holds(incoming.siblings, sibling),
  );
  const taken = incoming.siblings.filter(
    (sibling) => !covers(before.vector, sibling.dot) && !covers(applied, sibling.dot),
  );
  const siblings = taken.length === 0 ? keptLocal : [...keptLocal, ...taken].sort(compareSiblings);
  const ledger = mergeLedgers(before.ledger, incoming.ledger, siblings[0]);
  const vector = join(before.vector, incoming.vector);
  const isKnown = local === undefined && taken.length === 0 && descends(applied, incoming.vector);
  const changed =
    !isKnown &&
    (local === undefined ||
      keptLocal.length !== before.siblings.length ||
      taken.length > 0 ||
      ledger !== before.ledger ||
      vector !== before.vector);
  const record = { vector, siblings, ledger };
  return { record, changed, isIncoming: changed && isSame(record, incoming) };
}

function holds(siblings: readonly Sibling[], wanted: Sibling): boolean {
  return siblings.some((sibling) => sameDot(sibling.dot, wanted.dot));
}

function isSame(record: VersionedRecord, other: VersionedRecord): boolean {
  return (
    record.siblings.length === other.siblings.length &&
    record.ledger.length === other.ledger.length &&
    record.vector.size === other.vector.size &&
    descends(other.vector, record.vector) &&
    record.siblings.every((sibling, at) => sameDot(sibling.dot, (other.siblings[at] as Sibling).dot)) &&
    record.ledger.every((entry, at) => sameEntry(entry, other.ledger[at] as LedgerEntry))
  );
}
