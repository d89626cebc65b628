import { covers } from '@meridian/core/causality/version-vector';
import type { Sequence, StoreId } from '@meridian/core/ids';
import type { PortableRecord } from '@meridian/server/node/service';
import type { StoreContents } from './changes.ts';
import type { Try } from './load.ts';

/**
 * Holds what a store shows against what was tried. An acknowledged write is there unless a write that had seen it may have
 * happened; a write that an acknowledged one had seen is not; nothing is there that was refused or never tried. Gives one
 * line for each fault.
 */
export function faultsIn(contents: StoreContents, tries: readonly Try[]): string[] {
  const byKey = Map.groupBy(tries, ({ key }) => key);
  return [...byKey].flatMap(([key, ofKey]) => faultsOfKey(key, ofKey, contents.records.get(`default/${key}`)));
}

function faultsOfKey(key: string, tries: readonly Try[], record: PortableRecord | undefined): string[] {
  const present = new Set((record?.siblings ?? []).map(({ store, sequence }) => `${store}:${sequence}`));
  const vector = new Map(Object.entries(record?.vector ?? {})) as Map<StoreId, Sequence>;
  const faults: string[] = [];
  for (const one of tries) {
    if (one.outcome !== 'acknowledged' || !one.dot) continue;
    const name = `${one.dot.store}:${one.dot.sequence}`;
    if (!covers(vector, one.dot)) faults.push(`${key}: ${told(one)} is not in the vector`);
    const superseding = tries.filter(
      (other) => other !== one && other.outcome !== 'refused' && maySupersede(other, one),
    );
    if (present.has(name)) {
      const known = superseding.find(({ outcome }) => outcome === 'acknowledged');
      if (known) faults.push(`${key}: ${told(one)} is there, though ${told(known)} had seen it`);
    } else if (superseding.length === 0) faults.push(`${key}: ${told(one)} is gone, and no write had seen it`);
  }
  return [...faults, ...strangers(key, tries, record)];
}

function maySupersede(later: Try, earlier: Try): boolean {
  if (!earlier.dot) return false;
  return later.past ? covers(later.past, earlier.dot) : later.outcome === 'unknown';
}

function strangers(key: string, tries: readonly Try[], record: PortableRecord | undefined): string[] {
  const possible = new Set(tries.filter(({ outcome }) => outcome !== 'refused').map(({ value }) => value));
  return (record?.siblings ?? [])
    .map(({ body }) => (body === null ? null : (JSON.parse(Buffer.from(body, 'base64').toString()) as string)))
    .filter((value) => !possible.has(value))
    .map((value) => `${key}: ${value} is there, though that write was refused or never tried`);
}

function told({ value, region, level, dot }: Try): string {
  return `${value === null ? 'the delete' : value} at ${region} (${level}, ${dot?.store}:${dot?.sequence})`;
}
