import type { Namespace } from '@meridian/core/placement/namespace';
import type { CancelTimer } from '../ports/clock.ts';
import type { Commit } from '../ports/store.ts';
import { inBackground } from './background.ts';
import { PING_MS } from './limits.ts';
import type { NodeParts } from './parts.ts';
import { ServiceFacade } from './service-facade.ts';
import { stalenessMs } from './staleness.ts';
import { type Wiring, wireNode } from './wiring.ts';

/** How long a stopping node waits for its last writes to reach those who follow it. */
const FLUSH_MS = 1_000;

/**
 * One node: its parts' common life. `start` must have resolved before any call of the service; `stop` may be called once,
 * with no request under way.
 */
export class MeridianNode extends ServiceFacade {
  readonly #parts: NodeParts;
  readonly #wiring: Wiring;
  #cancelTick: CancelTimer = () => {};

  constructor(parts: NodeParts) {
    const wiring = wireNode(parts);
    super(wiring);
    this.#parts = parts;
    this.#wiring = wiring;
  }

  async start(): Promise<void> {
    const { store, transport, clock } = this.#parts;
    const { state, lifecycle, gossip, purge, peerMessages } = this.#wiring;
    const { catalog, filling } = state;
    catalog.listen(
      (namespace) => this.#onPlacementChange(namespace),
      (id) => lifecycle.isStarted && purge.start(id),
    );
    // First to listen: another node of this store may commit while the catalog is read.
    store.onCommit((commit) => this.#onCommit(commit));
    await catalog.load(store);
    store.shared?.onRegressed((seen) => gossip.renewIfBehind(seen, true));
    this.#wiring.siblings.start();
    gossip.start();
    await filling.start();
    await transport.start(peerMessages);
    lifecycle.isStarted = true;
    for (const id of catalog.dropped()) purge.start(id);
    this.#wiring.marks.start();
    this.#wiring.settling.start();
    this.#wiring.comparing.start();
    this.#cancelTick = clock.timer(PING_MS, () => this.#tick());
  }

  /** Sends on what is durable here, then lets go of the peers and the store. */
  async stop(): Promise<void> {
    const { state, lifecycle, comparing, gossip, following, shipper, purge, marks, news, settling } = this.#wiring;
    lifecycle.isStopping = true;
    comparing.stop();
    await this.#flush();
    this.#cancelTick();
    settling.stop();
    news.stop();
    marks.stop();
    gossip.stop();
    state.coverage.stop();
    state.calls.stop();
    following.stop();
    shipper.stop();
    purge.stop();
    await this.#parts.transport.stop();
    await this.#parts.store.close();
  }

  async #flush(): Promise<void> {
    const { clock, transport } = this.#parts;
    const { state, shipper } = this.#wiring;
    const deadlineMs = clock.monotonicMs() + FLUSH_MS;
    const isLagging = (): boolean =>
      [...state.peers.all()].some(
        ({ node }) => transport.isUp(node) && (transport.bufferedBytes(node) > 0 || (shipper.lagMs(node) ?? 0) > 0),
      );
    while (isLagging() && clock.monotonicMs() < deadlineMs) {
      await new Promise<void>((resolve) => void clock.timer(10, resolve));
    }
  }

  #onCommit(commit: Commit): void {
    const { state, shipper, settling } = this.#wiring;
    state.catalog.onRows(commit.rows);
    settling.onRows(commit.rows);
    shipper.onCommit(commit);
    state.coverage.onProgress();
  }

  #onPlacementChange(namespace: Namespace): void {
    const { state, lifecycle, following } = this.#wiring;
    if (!lifecycle.isStarted) return;
    const begun = state.filling
      .begin(`the placement of ${namespace.name} was decided otherwise`)
      .then(() => following.followAllAnew());
    inBackground(state.log, 'filling', begun);
  }

  #tick(): void {
    this.#cancelTick = this.#parts.clock.timer(PING_MS, () => this.#tick());
    const { state, gossip, shipper, following } = this.#wiring;
    gossip.pingAll();
    shipper.onTick();
    following.onTick();
    if (!state.filling.isFilled()) inBackground(state.log, 'filling', state.filling.check());
  }

  /** For observability and the simulator: what the parts count. */
  figures() {
    const { state, shipper, following, operations } = this.#wiring;
    return {
      ...state.metrics,
      shipping: shipper.figures(),
      following: following.figures(),
      callsPending: state.calls.pendingCount,
      stalenessMs: stalenessMs(state),
      peers: operations.peersHealth(),
      sequence: this.#parts.store.sequence,
      unsettled: this.#wiring.settling.count,
      isFilled: state.filling.isFilled(),
      isWritable: state.replica.isWritable,
    };
  }
}
