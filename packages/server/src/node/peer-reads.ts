import type { SessionToken } from '@meridian/core/coordination/session';
import type { RecordKey } from '@meridian/core/ids';
import { preferenceList } from '@meridian/core/placement/preference-list';
import { READ, type ReadCall, readResult } from '@meridian/core/wire/messages';
import { vectorEntries } from '@meridian/core/wire/vector-entries';
import type { NodeState } from './node-state.ts';
import type { Peer } from './peers.ts';
import { round } from './rounded.ts';
import type { Hop } from './service.ts';

/** Questions to other replicas about one key. */
export class PeerReads {
  readonly #state: NodeState;

  constructor(state: NodeState) {
    this.#state = state;
  }

  /** One node for each live store that holds the key, but for this one; nearest first. */
  live(key: RecordKey): Peer[] {
    const { catalog, peers, self } = this.#state;
    return preferenceList(catalog.replicas(key), self, (region) => peers.rttMs(region))
      .filter(({ store }) => store !== self.store && peers.isStoreLive(store))
      .map(({ store }) => peers.ofStore(store) as Peer);
  }

  hop(peer: Peer, startedAtMs: number): Hop {
    const ms = round(this.#state.clock.monotonicMs() - startedAtMs);
    return { node: peer.node, region: peer.region, round: 1, atMs: 0, ms };
  }

  async ask(peer: Peer, key: RecordKey, token: SessionToken | null, requestId: string, timeoutMs: number) {
    const call: ReadCall = [READ, key, token && vectorEntries(token)];
    const [bytes, store, isFilled, stalenessMs] = await this.#state.calls.call(
      peer.node,
      requestId,
      timeoutMs,
      call,
      readResult,
    );
    return { bytes, store, isFilled, stalenessMs };
  }
}
