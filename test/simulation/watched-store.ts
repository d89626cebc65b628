import type { VersionedRecord } from '@meridian/core/causality/record';
import type { RecordKey } from '@meridian/core/ids';
import { decodeRecord } from '@meridian/core/wire/record-codec';
import type { Decide, Store } from '@meridian/server/ports/store';
import type { Member } from './member.ts';

/** Told of every decision that a store makes, before it is durable, and of every commit, after. */
export interface StoreWatcher {
  onDecision(member: Member, key: RecordKey, before: VersionedRecord | undefined, after: VersionedRecord): void;
  onDurable(member: Member, key: RecordKey, record: VersionedRecord): void;
}

/** A store with a witness: what an oracle must know cannot be learned from answers alone. */
export function watchedStore(store: Store, member: Member, watcher: StoreWatcher): Store {
  store.onCommit(({ rows }) => {
    for (const { key, record } of rows) watcher.onDurable(member, key, decodeRecord(record));
  });
  const update = <Result>(keys: readonly RecordKey[], decide: Decide<Result>): Promise<Result> =>
    store.update(keys, (view) => {
      const decision = decide(view);
      for (const { key, record } of decision.writes) {
        const before = view.record(keys.indexOf(key));
        if (record) watcher.onDecision(member, key, before && decodeRecord(before), decodeRecord(record));
      }
      return decision;
    });
  return new Proxy(store, {
    get(target, name) {
      if (name === 'update') return update;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}
