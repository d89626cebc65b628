import { sequenceIn } from '@meridian/core/causality/version-vector';
import type { NodeName } from '@meridian/core/ids';
import * as wire from '@meridian/core/wire/messages';
import type { TransportHandler } from '../ports/transport.ts';
import type { Following } from './following.ts';
import type { Gossip } from './gossip.ts';
import type { Lifecycle } from './lifecycle.ts';
import type { NodeState } from './node-state.ts';
import type { ChosenNews } from './registers/chosen-news.ts';
import type { Shipper } from './shipper.ts';
import type { Siblings } from './siblings.ts';

export interface MessageTargets {
  readonly gossip: Gossip;
  readonly shipper: Shipper;
  readonly following: Following;
  readonly news: ChosenNews;
  readonly siblings: Siblings;
}

/** Hands what comes over the transport to the part that it is for. No message of a peer can make the transport fail. */
export class PeerMessages implements TransportHandler {
  readonly #state: NodeState;
  readonly #targets: MessageTargets;
  readonly #lifecycle: Lifecycle;

  constructor(state: NodeState, targets: MessageTargets, lifecycle: Lifecycle) {
    this.#state = state;
    this.#targets = targets;
    this.#lifecycle = lifecycle;
    targets.shipper.listen(targets.gossip.mayShip);
  }

  onUp(node: NodeName): void {
    const peer = this.#state.peers.heard(node);
    if (peer) this.#targets.gossip.onUp(peer);
  }

  onDown(node: NodeName, reason: string): void {
    const peer = this.#state.peers.get(node);
    this.#state.calls.onDown(node);
    if (peer) this.#targets.gossip.onDown(peer, reason, this.#lifecycle.isStopping);
  }

  onMessage(from: NodeName, message: wire.Message): void {
    try {
      this.#dispatch(from, message);
    } catch (error) {
      this.#state.log.error(
        { peer: from, kind: message[0], reason: (error as Error).message },
        'a message of a peer could not be handled',
      );
    }
  }

  #dispatch(from: NodeName, message: wire.Message): void {
    const { peers, calls, store } = this.#state;
    const { gossip, shipper, following, news, siblings } = this.#targets;
    const peer = peers.heard(from);
    if (!peer) return;
    if (isReply(message[0])) peers.hears(peer);
    switch (message[0]) {
      case wire.GREETING:
        gossip.onGreeting(peer, message);
        break;
      case wire.FOLLOW:
        shipper.onFollow(from, peer.storeName, message);
        break;
      case wire.UNFOLLOW:
        shipper.onUnfollow(from, message);
        break;
      case wire.CHANGES:
        following.onChanges(from, message);
        break;
      case wire.APPLIED:
        shipper.onApplied(from, message);
        break;
      case wire.PING:
        gossip.onPing(peer, message);
        shipper.onClaim(from, message[2], sequenceIn(peer.applied, store.id));
        break;
      case wire.PONG:
        gossip.onPong(peer, message[1]);
        break;
      case wire.REQUEST:
        calls.onRequest(from, message);
        break;
      case wire.ANSWER:
        calls.onAnswer(from, message);
        break;
      case wire.CHOSEN:
        news.onChosen(peer, message);
        break;
      case wire.COMMITTED:
        if (peers.isSibling(peer)) siblings.onCommitted(message);
        break;
    }
  }
}

/** Sent only by who has heard this node. */
function isReply(kind: wire.Message[0]): boolean {
  return kind === wire.PONG || kind === wire.ANSWER || kind === wire.APPLIED;
}
