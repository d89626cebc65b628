/** Branded names, so that one cannot be passed for another. The words are those of ARCHITECTURE.md. */
declare const brand: unique symbol;
type Branded<Base, Name extends string> = Base & { readonly [brand]: Name };

/** A failure domain with a place on the map, e.g. `us-east`. */
export type RegionName = Branded<string, 'RegionName'>;
/** One server process. */
export type NodeName = Branded<string, 'NodeName'>;
/** Where a store stands on its region's ring. Outlives the disk: a wiped store comes back under its name with a new id. */
export type StoreName = Branded<string, 'StoreName'>;
/** One durable copy, from the day its disk was made to the day it is lost: `<store name>.<random>`. */
export type StoreId = Branded<string, 'StoreId'>;
/** A store numbers its writes with one persistent, never reused sequence; the first is 1. */
export type Sequence = Branded<number, 'Sequence'>;
/** A namespace from its creation to its drop: `<name>.<generation>`. */
export type NamespaceId = Branded<string, 'NamespaceId'>;
/** Namespace id, NUL, key: what a record is found by. */
export type RecordKey = Branded<string, 'RecordKey'>;

export const NO_SEQUENCE = 0 as Sequence;

const SEPARATOR = '\0';

export function recordKey(namespace: NamespaceId, key: string): RecordKey {
  return (namespace + SEPARATOR + key) as RecordKey;
}

/** The last one told: keys that come together are mostly of one namespace, and maps find a text again sooner than its copy. */
let lastNamespace = '' as NamespaceId;

export function namespaceIdOf(key: RecordKey): NamespaceId {
  const isOfLast = key.startsWith(SEPARATOR, lastNamespace.length) && key.startsWith(lastNamespace);
  if (!isOfLast) lastNamespace = key.slice(0, key.indexOf(SEPARATOR)) as NamespaceId;
  return lastNamespace;
}

export function plainKeyOf(key: RecordKey): string {
  return key.slice(key.indexOf(SEPARATOR) + 1);
}

/** The first record key after all of a namespace's (no namespace id holds a character below 0x02). */
export function endOfNamespace(namespace: NamespaceId): RecordKey {
  return `${namespace}\u0001` as RecordKey;
}

export function storeIdFor(name: StoreName, random: string): StoreId {
  return `${name}.${random}` as StoreId;
}

/** The place on the ring of the store that once had, or has, this id. */
export function storeNameOf(id: StoreId): StoreName {
  return id.slice(0, id.lastIndexOf('.')) as StoreName;
}

/**
 * Orders texts as their UTF-8 bytes are ordered, which is how stores keep keys. JavaScript's own `<` compares UTF-16
 * units, and puts U+10000 and above before U+E000 to U+FFFF.
 */
export function compareKeys(left: string, right: string): number {
  const shared = Math.min(left.length, right.length);
  for (let at = 0; at < shared; at++) {
    const a = left.charCodeAt(at);
    const b = right.charCodeAt(at);
    if (a !== b) return rank(a) - rank(b);
  }
  return left.length - right.length;
}

/** Surrogates stand for code points above all others. */
function rank(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit;
}
