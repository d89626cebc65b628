import type { PlantedBug } from '@meridian/server/node/planted-bugs';
import type { Bugs } from './simulated-cluster.ts';
import type { DatabaseBugs } from './simulated-database.ts';

export interface Planted {
  readonly bugs: Bugs;
  /** Within so many seeds, from 1 on, the simulator must find it. */
  readonly seedsMax: number;
  /** The rule that it breaks. */
  readonly rule: string;
  /** One of the seeds that find it, as the code is now: tests try it before the others. */
  readonly knownSeed: number;
  /** Every so many seeds are tried: where only some kinds of runs can show it. */
  readonly step: number;
}

export const PLANTED: Readonly<Record<string, Planted>> = {
  'acknowledge-before-sync': inStore({ acknowledgesBeforeSync: true }, 20, 'acknowledged means on disk'),
  'ship-before-durable': inStore({ showsBeforeDurable: true }, 60, 'nothing leaves a store before it is durable there'),
  'applied-moves-with-cursor': inNode('applied-moves-with-cursor', 60, 'only the end of a whole view moves the claim'),
  'stream-filtered-by-cursor': inNode(
    'stream-filtered-by-cursor',
    60,
    'a stream sends what is above the claim, not the cursor',
  ),
  'gap-is-merged': inNode('gap-is-merged', 20, 'a batch is merged only where it joins on'),
  'cursor-before-records': inNode('cursor-before-records', 60, 'a position is stored with the records it speaks of'),
  'merge-by-clock': inNode('merge-by-clock', 20, 'of concurrent values none is dropped by its time'),
  'session-not-covered': inNode('session-not-covered', 20, 'a replica serves a session only where it covers its token'),
  'quorum-of-one': inNode('quorum-of-one', 20, 'a quorum is a majority of all replicas'),
  'blind-write-without-context': inNode(
    'blind-write-without-context',
    20,
    'a blind write has seen what its replica holds',
  ),
  'unbounded-window': inNode('unbounded-window', 60, 'what waits for a slow follower is bounded'),
  'expired-stays-visible': inNode('expired-stays-visible', 20, 'an expired value is hidden at once'),
  'call-carried-out-twice': inNode('call-carried-out-twice', 100, 'a message that comes twice writes once', 6),
  'skip-write-back': inNode('skip-write-back', 400, 'a strong read is written back unless all agree', 103),
  'answer-before-sync': inNode('answer-before-sync', 20, 'promises and acceptances are on disk before they are told'),
  'promise-forgotten-at-restart': inNode('promise-forgotten-at-restart', 20, 'a promise is on disk before it is told'),
  'ballot-check-skipped': inNode('ballot-check-skipped', 20, 'nothing is accepted below what was promised'),
  'ballot-kept-after-doubt': inNode('ballot-kept-after-doubt', 60, 'a cached ballot is dropped before it is used', 19),
  'ballot-reused': inNode('ballot-reused', 60, 'ballots of a restarted proposer are fresh'),
  'store-counted-twice': inNode('store-counted-twice', 20, 'a quorum is of distinct stores'),
  'unchosen-returned': inNode('unchosen-returned', 20, 'a read returns what a majority has accepted'),
  'relaxed-read-of-accepted': inNode(
    'relaxed-read-of-accepted',
    20,
    'a relaxed read returns what is known to be chosen',
  ),
  'failed-condition-unsettled': inNode('failed-condition-unsettled', 60, 'a failed condition rests on what is chosen'),
  'retry-applied-again': inNode('retry-applied-again', 60, 'a change that is tried again is applied once'),
  'doubt-told-as-failure': inNode(
    'doubt-told-as-failure',
    60,
    'a refusal is told only where nothing can have happened',
    17,
  ),
  // Seeds in which disks are lost, most of all: every seventh.
  'recovered-by-ballot-check': inNode(
    'recovered-by-ballot-check',
    840,
    'a wiped store takes in all that it may have accepted',
    693,
    7,
  ),
  // Seeds in which nodes share a store: every fourth.
  'turns-overlap': inDatabase({ turnsOverlap: true }, 20, 'a store is changed by one transaction at a time', 2),
  'answers-before-filled': inNode('answers-before-filled', 200, 'a store that is being filled answers no quorum', 47),
};

function inStore(store: Bugs['store'], seedsMax: number, rule: string, knownSeed = 1, step = 1): Planted {
  return { bugs: { node: new Set(), store }, seedsMax, rule, knownSeed, step };
}

function inDatabase(database: DatabaseBugs, seedsMax: number, rule: string, knownSeed: number): Planted {
  return { bugs: { node: new Set(), store: {}, database }, seedsMax, rule, knownSeed, step: 2 };
}

function inNode(bug: PlantedBug, seedsMax: number, rule: string, knownSeed = 1, step = 1): Planted {
  return { bugs: { node: new Set([bug]), store: {} }, seedsMax, rule, knownSeed, step };
}

export function bugsOf(name: string): Bugs | undefined {
  return Object.hasOwn(PLANTED, name) ? PLANTED[name]?.bugs : undefined;
}
