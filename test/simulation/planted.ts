import type { PlantedBug } from '@meridian/server/node/planted-bugs';
import type { Bugs } from './simulated-cluster.ts';

/** Each planted bug, and within how many seeds the simulator must find it. */
export const PLANTED: Readonly<Record<string, { readonly bugs: Bugs; readonly seedsMax: number }>> = {
  'acknowledge-before-sync': inStore({ acknowledgesBeforeSync: true }, 20),
  'ship-before-durable': inStore({ showsBeforeDurable: true }, 60),
  'applied-moves-with-cursor': inNode('applied-moves-with-cursor', 60),
  'stream-filtered-by-cursor': inNode('stream-filtered-by-cursor', 60),
  'gap-is-merged': inNode('gap-is-merged', 20),
  'cursor-before-records': inNode('cursor-before-records', 60),
  'merge-by-clock': inNode('merge-by-clock', 20),
  'session-not-covered': inNode('session-not-covered', 20),
  'quorum-of-one': inNode('quorum-of-one', 20),
  'blind-write-without-context': inNode('blind-write-without-context', 20),
  'unbounded-window': inNode('unbounded-window', 60),
  'expired-stays-visible': inNode('expired-stays-visible', 20),
};

function inStore(store: Bugs['store'], seedsMax: number): { bugs: Bugs; seedsMax: number } {
  return { bugs: { node: new Set(), store }, seedsMax };
}

function inNode(bug: PlantedBug, seedsMax: number): { bugs: Bugs; seedsMax: number } {
  return { bugs: { node: new Set([bug]), store: {} }, seedsMax };
}

export function bugsOf(name: string): Bugs | undefined {
  return Object.hasOwn(PLANTED, name) ? PLANTED[name]?.bugs : undefined;
}
