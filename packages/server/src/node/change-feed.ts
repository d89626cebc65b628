import { namespaceIdOf, plainKeyOf, type Sequence } from '@meridian/core/ids';
import { MeridianError } from '@meridian/core/wire/errors';
import { decodeStored } from '@meridian/core/wire/stored-record';
import type { NodeState } from './node-state.ts';
import { toPortable } from './portable.ts';
import { asMeridianError } from './replica.ts';
import type { ChangesAnswer } from './service.ts';

const CHANGES_BYTES_MAX = 8 * 1024 * 1024;

/**
 * A page of what changed in this store after `since`, in the order of its sequences: one row a key, as it stands now. At most
 * `limit` rows are looked at; those of other namespaces than the one named, and of the catalog, are left out.
 * @throws NAMESPACE_NOT_FOUND, STORE_UNAVAILABLE
 */
export async function changesAfter(
  { store, catalog }: NodeState,
  since: number,
  limit: number,
  namespaceName: string | undefined,
): Promise<ChangesAnswer> {
  if (namespaceName !== undefined && !catalog.get(namespaceName)) {
    throw new MeridianError('NAMESPACE_NOT_FOUND', 'no namespace of this name is known here', {
      namespace: namespaceName.slice(0, 64),
    });
  }
  const page = await store
    .changes(since as Sequence, { rowsMax: limit, bytesMax: CHANGES_BYTES_MAX })
    .catch(asMeridianError);
  const changes = page.rows.flatMap(({ key, sequence, record }) => {
    const namespace = catalog.byId(namespaceIdOf(key));
    if (!namespace || namespace === 'dropped' || (namespaceName !== undefined && namespace.name !== namespaceName))
      return [];
    const shown = decodeStored(record);
    return shown ? [{ sequence, record: toPortable(namespace.name, plainKeyOf(key), shown) }] : [];
  });
  return { store: store.id, changes, upTo: page.upTo, isComplete: page.isComplete };
}
