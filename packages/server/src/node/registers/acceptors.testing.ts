import type { Question, Reply } from '@meridian/core/coordination/paxos/messages';
import type { RegisterState } from '@meridian/core/coordination/paxos/register';
import { type NodeName, type RecordKey, recordKey } from '@meridian/core/ids';
import { decodeRegister } from '@meridian/core/wire/register-codec';
import type { SimulatedDisk, SimulatedStore } from '../../../../../test/simulation/simulated-store.ts';
import type { ProcessClock, VirtualTime } from '../../../../../test/simulation/virtual-time.ts';
import type { Log } from '../../ports/log.ts';
import { namespaceIdFor } from '../catalog.ts';
import { layoutOf, THREE_REGIONS } from '../cluster.testing.ts';
import type { NodeState } from '../node-state.ts';
import { Peers } from '../peers.ts';
import { NO_BUGS } from '../planted-bugs.ts';
import { Replica } from '../replica.ts';
import { onStore } from '../store.testing.ts';
import { Acceptors } from './acceptors.ts';
import { KnownStores } from './known-stores.ts';

const SILENT: Log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

export const KEY = recordKey(namespaceIdFor('exact', 1), 'key');

/** The store us-1 as an acceptor of every key, and what it stands on. */
export interface AcceptorAlone {
  readonly time: VirtualTime;
  readonly clock: ProcessClock;
  readonly disk: SimulatedDisk;
  readonly store: SimulatedStore;
  readonly acceptors: Acceptors;
  readonly replica: Replica;
  readonly known: KnownStores;
  readonly peers: Peers;
  /** What its node says of itself; to be changed at will. */
  readonly node: {
    isFilled: boolean;
    isHeld: (key: RecordKey) => boolean;
    gate: Promise<void> | undefined;
    known: (key: RecordKey, register: RegisterState) => RegisterState;
  };
  /** The one question's reply; nothing where it has none. */
  answer(question: Question, key?: RecordKey): Promise<Reply | undefined>;
  /** What a crash at this moment would leave of a register. */
  durable(key?: RecordKey): RegisterState | undefined;
  /** The same after a stop and a start, before it has heard of anybody. */
  restarted(): AcceptorAlone;
}

/** Runs `play` on a new acceptor, as virtual time passes. */
export function onAcceptor(play: (acceptor: AcceptorAlone) => Promise<void>): Promise<void> {
  return onStore(({ time, clock, disk, store, open }) => {
    const build = (on: SimulatedStore, its: SimulatedDisk): AcceptorAlone => {
      const nodes = layoutOf(THREE_REGIONS).regions.flatMap((region) => region.nodes);
      const peers = new Peers(nodes, 'us-1' as NodeName, clock);
      const node: AcceptorAlone['node'] = {
        isFilled: true,
        isHeld: () => true,
        gate: undefined,
        known: (_key, register) => register,
      };
      const catalog = { isHeldHere: (key: RecordKey) => node.isHeld(key) } as unknown as NodeState['catalog'];
      const known = new KnownStores(on, peers);
      const replica = new Replica(on, catalog, clock, NO_BUGS);
      const state = {
        catalog,
        clock,
        store: on,
        peers,
        bugs: NO_BUGS,
        log: SILENT,
        replica,
        filling: { isFilled: () => node.isFilled },
        readyToWrite: () => node.gate,
      } as unknown as NodeState;
      const acceptors = new Acceptors(state, known, (key, register) => node.known(key, register));
      return {
        time,
        clock,
        disk: its,
        store: on,
        acceptors,
        replica,
        known,
        peers,
        node,
        answer: async (question, key = KEY) => (await acceptors.answer([key], [question], 100))[0],
        durable: (key = KEY) => {
          const bytes = its.durableRecord(key);
          return bytes && decodeRegister(bytes);
        },
        restarted: () => {
          const copy = its.copy();
          return build(open(copy), copy);
        },
      };
    };
    return play(build(store, disk));
  });
}
