import { EMPTY_VECTOR, type VersionVector } from '@meridian/core/causality/version-vector';
import { type Sequence, storeNameOf } from '@meridian/core/ids';
import type { PlacementTable } from '@meridian/core/placement/placement-table';
import { quorumOf } from '@meridian/core/placement/preference-list';
import type { Log } from '../ports/log.ts';
import type { Random } from '../ports/random.ts';
import type { Store } from '../ports/store.ts';
import type { Peers } from './peers.ts';
import { wasTakenInUnfilled } from './unfilled-sources.ts';

const FILLED_NOTE = 'filled-under-layout';
/** In place of a layout: positions are about to be forgotten. A store that finds it at its start goes on there. */
const FORGETTING = 'forgetting';
/** Likewise: they are forgotten, and what the peers hold is being taken in once more. No two fills have the same text. */
const FILLING_ANEW = 'filling-anew';
const FILL_ID_LENGTH = 8;

/**
 * Whether this store holds what its place on the ring obliges it to. A new store, or one whose place has grown, takes writes
 * at once, but answers no quorum until it has taken in all that every live origin holds, and enough of them are: one donor's
 * copy lacks what others had not yet shipped to it.
 */
export class Filling {
  readonly #store: Store;
  readonly #peers: Peers;
  readonly #placement: PlacementTable;
  readonly #fingerprint: string;
  readonly #log: Log;
  /** How many replicas the keys of each namespace have. */
  readonly #replicaCounts: () => readonly number[];
  #inheritedClaims: () => VersionVector = () => EMPTY_VECTOR;
  readonly #random: Random;
  #isEnding = false;
  #owesForgetting = false;
  #isForgetting = false;
  #begun = 0;

  constructor(
    store: Store,
    peers: Peers,
    placement: PlacementTable,
    fingerprint: string,
    replicaCounts: () => readonly number[],
    log: Log,
    random: Random,
  ) {
    this.#random = random;
    this.#replicaCounts = replicaCounts;
    this.#store = store;
    this.#peers = peers;
    this.#placement = placement;
    this.#fingerprint = fingerprint;
    this.#log = log;
  }

  /** Where to learn what the origins claim of stores that are gone. */
  listen(inheritedClaims: () => VersionVector): void {
    this.#inheritedClaims = inheritedClaims;
  }

  /** By the note alone: of a shared store, another node may fill it, or begin to fill it anew. */
  isFilled = (): boolean => !this.#owesForgetting && this.#store.note(FILLED_NOTE) === this.#fingerprint;

  /** Where the layout is not the one this store was filled under, its positions claim too much: take everything in anew. */
  async start(): Promise<void> {
    if (this.isFilled()) return;
    const former = this.#store.note(FILLED_NOTE);
    if (former !== undefined && !former.startsWith(FILLING_ANEW)) await this.begin('the layout has changed');
    await this.check();
  }

  async begin(reason: string): Promise<void> {
    this.#begun += 1;
    this.#owesForgetting = true;
    await this.#forget(this.#begun);
    this.#log.warn({ reason }, 'this store takes in anew what its peers hold; it answers no quorum until then');
  }

  /** Until it is done the positions say of a former fill that it was this one. Tried again by `check` where the disk refuses. */
  async #forget(begun: number): Promise<void> {
    this.#isForgetting = true;
    try {
      await this.#store.setNote(FILLED_NOTE, FORGETTING);
      await this.#store.forgetPositions();
      await this.#store.setNote(FILLED_NOTE, `${FILLING_ANEW} ${this.#random.id(FILL_ID_LENGTH)}`);
      if (begun === this.#begun) this.#owesForgetting = false;
    } finally {
      this.#isForgetting = false;
    }
  }

  /** Stores that are gone stream nothing: what they wrote came with the fill, and so does the claim to hold it. */
  async #inherit(begun: number): Promise<void> {
    const living = new Set([this.#store.id, ...[...this.#peers.all()].map(({ storeId }) => storeId)]);
    const gone = [...this.#inheritedClaims()].filter(([store]) => !living.has(store));
    if (gone.length === 0) return;
    await this.#store.update([], (view) => {
      if (begun !== this.#begun) return { writes: [], result: undefined };
      const positions = new Map(
        gone.map(([store, sequence]) => {
          const applied = Math.max(sequence, view.position(store)?.applied ?? 0) as Sequence;
          return [store, { cursor: applied, applied, isFilled: true }] as const;
        }),
      );
      return { writes: [], positions, result: undefined };
    });
  }

  async check(): Promise<void> {
    if (this.#isEnding || this.#isForgetting) return;
    if (this.#owesForgetting) return this.#forget(this.#begun);
    const note = this.#store.note(FILLED_NOTE);
    // Another node of this store was at it, and may be dead.
    if (note === FORGETTING) return this.begin('another node had begun to');
    // Filled, or filled by another node that stands on another layout.
    if (note !== undefined && !note.startsWith(FILLING_ANEW)) return;
    const own = storeNameOf(this.#store.id);
    const others = this.#placement
      .allStores()
      .filter(({ name }) => name !== own && this.#peers.ofStore(name) !== undefined);
    let filledFrom = 0;
    /** From those that were being filled themselves. */
    let unfilledFrom = 0;
    // One that was filled before, under another layout or another id, had data to lose.
    let isNewCluster = note === undefined;
    for (const { name } of others) {
      const peer = this.#peers.ofStore(name);
      const isLive = this.#peers.isStoreLive(name);
      const id = peer?.storeId;
      const isTakenIn = id !== undefined && this.#store.positions.get(id)?.isFilled;
      if (isTakenIn && peer?.isFilled && !wasTakenInUnfilled(this.#store, id)) filledFrom += 1;
      // One that was filled since is taken in once more.
      else if (isTakenIn && !(isLive && peer?.isFilled)) unfilledFrom += 1;
      else if (isLive) return;
      if (peer?.storeId !== undefined && peer.isFilled) isNewCluster = false;
    }
    // What one lacks that is being filled may be with another that is missing.
    if (isNewCluster || filledFrom + unfilledFrom === others.length) filledFrom += unfilledFrom;
    if (filledFrom < this.#origins(others.length, isNewCluster)) return;
    this.#isEnding = true;
    try {
      await this.#end(this.#begun, note, filledFrom);
    } finally {
      this.#isEnding = false;
    }
  }

  /** Filled only once that is on disk; and not at all where another fill was begun meanwhile. */
  async #end(begun: number, note: string | undefined, filledFrom: number): Promise<void> {
    await this.#inherit(begun);
    if (begun !== this.#begun) return;
    if (!(await this.#store.replaceNote(FILLED_NOTE, note, this.#fingerprint))) return;
    this.#log.info({ origins: filledFrom, sequence: this.#store.sequence }, 'this store is filled');
  }

  /**
   * From how many others a fill must have come. Whatever a majority of a key's replicas once acknowledged, with this store's
   * lost copy or without it, must be among them: of r replicas with a quorum of q, no more than q - 2 of the others may be
   * missing. Which stores share which keys is not looked at: any may be one of them. Where nobody is filled yet there is
   * nothing to lose, and a majority that can talk may begin.
   */
  #origins(others: number, isNewCluster: boolean): number {
    if (isNewCluster) return Math.min(others, quorumOf(others + 1) - 1);
    const counts = [others + 1, ...this.#replicaCounts()].filter((count) => count > 1);
    const missingMax = Math.min(...counts.map((count) => Math.max(0, quorumOf(count) - 2)));
    return Math.max(0, others - missingMax);
  }
}
