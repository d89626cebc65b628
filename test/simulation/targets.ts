import { type RecordKey, recordKey } from '@meridian/core/ids';
import type { Placement } from '@meridian/core/placement/layout';
import { namespaceIdFor } from '@meridian/server/node/catalog';

export interface SimulatedNamespace {
  readonly name: string;
  readonly placement: Placement;
  readonly conflict: 'siblings' | 'lww';
  readonly mode: 'eventual' | 'strong';
}

/** Where keys are written at every level but `strong`. */
export const NAMESPACES: readonly SimulatedNamespace[] = [
  { name: 'default', placement: 'all', conflict: 'siblings', mode: 'eventual' },
  { name: 'last', placement: 'all', conflict: 'lww', mode: 'eventual' },
  { name: 'pair', placement: { 'us-east': 1, 'eu-central': 1 }, conflict: 'siblings', mode: 'eventual' },
];

export const STRONG_NAMESPACES: readonly SimulatedNamespace[] = [
  { name: 'exact', placement: 'all', conflict: 'siblings', mode: 'strong' },
  { name: 'duo', placement: { 'us-east': 1, 'eu-central': 1 }, conflict: 'siblings', mode: 'strong' },
];

export const ALL_NAMESPACES: readonly SimulatedNamespace[] = [...NAMESPACES, ...STRONG_NAMESPACES];

export function keyIn(namespace: SimulatedNamespace, key: string): RecordKey {
  return recordKey(namespaceIdFor(namespace.name, 1), key);
}

export function namespaceOf(key: RecordKey): SimulatedNamespace | undefined {
  return ALL_NAMESPACES.find(({ name }) => key.startsWith(`${name}.`));
}
