import type { NodeName } from '@meridian/core/ids';
import type { Message } from '@meridian/core/wire/messages';

export interface TransportHandler {
  /** Both ends have proved that they know the cluster's secret and speak this protocol. Called again after each reconnect. */
  onUp(node: NodeName): void;
  /** Called once for each `onUp`. What was sent since the peer last answered may or may not have arrived. */
  onDown(node: NodeName, reason: string): void;
  /** Messages of one peer come in the order they were sent; one can be missing, and it can come twice. Byte arrays are the handler's to keep. */
  onMessage(from: NodeName, message: Message): void;
}

/**
 * Messages between the nodes of a cluster. What one tick sends to a peer leaves in one write.
 * After `stop` resolves no handler is called any more.
 */
export interface Transport {
  start(handler: TransportHandler): Promise<void>;
  stop(): Promise<void>;
  /**
   * Hands a message over. `false` where the peer is not up, or where `bytesBufferedMax` wait for it already; the message
   * is dropped then. `true` promises nothing about its arrival.
   */
  send(to: NodeName, message: Message): boolean;
  isUp(node: NodeName): boolean;
  /** Bytes that wait for this peer in this process's memory. Bounded. */
  bufferedBytes(node: NodeName): number;
}
