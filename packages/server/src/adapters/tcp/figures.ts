/** Why a connection was not let in, or was cut off. */
export type Rejection =
  | 'garbage'
  | 'oversized'
  | 'version'
  | 'cluster'
  | 'secret'
  | 'unknown-node'
  | 'wrong-node'
  | 'wrong-direction'
  | 'timeout'
  | 'crowded'
  | 'stalled'
  | 'silent';

/** Counts since the start of the transport. Bytes are those on the wire, handshakes included. */
export interface TcpFigures {
  framesIn: number;
  framesOut: number;
  bytesIn: number;
  bytesOut: number;
  /** Times a peer came up; all but the first of each are reconnects. */
  connects: number;
  reconnects: number;
  /** Messages that `send` did not take: the peer was down, or too much waited for it. */
  sendsRefused: number;
  rejected: Record<Rejection, number>;
}

export function noFigures(): TcpFigures {
  return {
    framesIn: 0,
    framesOut: 0,
    bytesIn: 0,
    bytesOut: 0,
    connects: 0,
    reconnects: 0,
    sendsRefused: 0,
    rejected: {
      garbage: 0,
      oversized: 0,
      version: 0,
      cluster: 0,
      secret: 0,
      'unknown-node': 0,
      'wrong-node': 0,
      'wrong-direction': 0,
      timeout: 0,
      crowded: 0,
      stalled: 0,
      silent: 0,
    },
  };
}
