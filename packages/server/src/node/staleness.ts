import type { NamespaceId } from '@meridian/core/ids';
import type { NodeState } from './node-state.ts';
import type { Peer } from './peers.ts';

/** How long ago this store is known to have held all that the namespace's other replicas held; `null` where one was never heard. */
export function stalenessMs(
  { peers, clock, catalog }: Pick<NodeState, 'peers' | 'clock' | 'catalog'>,
  id?: NamespaceId,
): number | null {
  const namespace = id === undefined ? undefined : catalog.byId(id);
  const placement = namespace && namespace !== 'dropped' ? namespace.placement : 'all';
  let oldestMs = Number.POSITIVE_INFINITY;
  for (const [, nodes] of peers.otherStores()) {
    if (placement !== 'all' && !placement[(nodes[0] as Peer).region]) continue;
    const freshAtMs = latest(nodes);
    if (freshAtMs === undefined) return null;
    if (freshAtMs < oldestMs) oldestMs = freshAtMs;
  }
  return oldestMs === Number.POSITIVE_INFINITY ? 0 : Math.max(0, Math.round(clock.monotonicMs() - oldestMs));
}

/** Of a store that several nodes share, whichever of them was heard last. */
function latest(nodes: readonly Peer[]): number | undefined {
  let latestMs: number | undefined;
  for (const { freshAtMs } of nodes) {
    if (freshAtMs !== undefined && (latestMs === undefined || freshAtMs > latestMs)) latestMs = freshAtMs;
  }
  return latestMs;
}
