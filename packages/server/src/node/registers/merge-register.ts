import { recover, replay } from '@meridian/core/coordination/paxos/acceptor';
import type { RegisterState } from '@meridian/core/coordination/paxos/register';
import type { RecordKey } from '@meridian/core/ids';
import { decodeRegister, encodeRegister } from '@meridian/core/wire/register-codec';
import type { PlantedBugs } from '../planted-bugs.ts';

/** The state of a register with what is known of it beyond what its row says. */
export type KnownState = (key: RecordKey, state: RegisterState) => RegisterState;

/**
 * A register's state as another replica has it, taken in: as messages that come late would have been (`replay`), or, by a
 * store that was made anew, whole (`recover`). The new bytes; nothing where it changes nothing.
 * With what is `known` to be chosen: what comes may lie above it, and be what nobody has chosen.
 */
export function mergeRegister(
  key: RecordKey,
  before: Uint8Array | undefined,
  incoming: Uint8Array,
  isFill: boolean,
  bugs: PlantedBugs,
  known: KnownState,
): Uint8Array | undefined {
  const local = before && known(key, decodeRegister(before));
  const take = isFill && !bugs.has('recovered-by-ballot-check') ? recover : replay;
  const { state, changed } = take(local, decodeRegister(incoming));
  return changed ? encodeRegister(state) : undefined;
}
