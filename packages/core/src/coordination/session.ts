import type { VersionedRecord } from '../causality/record.ts';
import { join, sequenceIn, type VersionVector } from '../causality/version-vector.ts';
import { type Sequence, type StoreId, type StoreName, storeNameOf } from '../ids.ts';

/**
 * A session's token is a vector: every dot up to there, of every store named, this session has seen or depends on. The four
 * session guarantees follow (Terry et al., *Session guarantees for weakly consistent replicated data*, 1994): a replica
 * serves the session only when its `applied` covers the token.
 */
export type SessionToken = VersionVector;

/** Whether a replica with these claims may serve this session. Stores that hold none of the key's replicas do not matter: no dot of the key is theirs. */
export function coversSession(
  appliedOf: (store: StoreId) => number,
  token: SessionToken,
  holdsKey: (store: StoreName) => boolean,
): boolean {
  for (const [store, sequence] of token) {
    if (appliedOf(store) < sequence && holdsKey(storeNameOf(store))) return false;
  }
  return true;
}

/** The token after reading: the record itself, and what the writers of its values had seen. */
export function tokenAfterRead(token: SessionToken, record: VersionedRecord | undefined): SessionToken {
  if (!record) return token;
  let joined = join(token, record.vector);
  for (const sibling of record.siblings) joined = join(joined, sibling.session);
  return joined;
}

export function tokenAfterWrite(token: SessionToken, store: StoreId, sequence: Sequence): SessionToken {
  return sequenceIn(token, store) >= sequence ? token : new Map(token).set(store, sequence);
}
