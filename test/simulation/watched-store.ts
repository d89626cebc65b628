import type { VersionedRecord } from '@meridian/core/causality/record';
import type { RegisterState } from '@meridian/core/coordination/paxos/register';
import type { RecordKey } from '@meridian/core/ids';
import { decodeRecord } from '@meridian/core/wire/record-codec';
import { decodeRegister, isRegisterBytes } from '@meridian/core/wire/register-codec';
import type { Decide, RecordWrite, Store } from '@meridian/server/ports/store';
import type { Member } from './member.ts';

/** Told of every decision that a store makes, before it is durable, and of every commit, after. */
export interface StoreWatcher {
  onDecision(member: Member, key: RecordKey, before: VersionedRecord | undefined, after: VersionedRecord): void;
  onDurable(member: Member, key: RecordKey, record: VersionedRecord): void;
  onRegisterDurable(member: Member, key: RecordKey, state: RegisterState): void;
}

/** A store with a witness: what an oracle must know cannot be learned from answers alone. */
export function watchedStore(store: Store, member: Member, watcher: StoreWatcher): Store {
  store.onCommit(({ rows }) => {
    for (const { key, record } of rows)
      if (!isRegisterBytes(record)) watcher.onDurable(member, key, decodeRecord(record));
  });
  const update = async <Result>(keys: readonly RecordKey[], decide: Decide<Result>): Promise<Result> => {
    let registers: RecordWrite[] = [];
    const result = await store.update(keys, (view) => {
      const decision = decide(view);
      registers = decision.writes.filter(({ record }) => record !== null && isRegisterBytes(record));
      for (const { key, record } of decision.writes) {
        if (!record || isRegisterBytes(record)) continue;
        const before = view.record(keys.indexOf(key));
        watcher.onDecision(member, key, before && decodeRecord(before), decodeRecord(record));
      }
      return decision;
    });
    // Not by rows of commits: of two acceptances that shared one, its row shows the second only.
    for (const { key, record } of registers) if (record) watcher.onRegisterDurable(member, key, decodeRegister(record));
    return result;
  };
  return new Proxy(store, {
    get(target, name) {
      if (name === 'update') return update;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}
