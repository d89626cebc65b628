import { recover, replay } from '@meridian/core/coordination/paxos/acceptor';
import { decodeRegister, encodeRegister } from '@meridian/core/wire/register-codec';
import type { PlantedBugs } from '../planted-bugs.ts';

/**
 * A register's state as another replica has it, taken in: as messages that come late would have been (`replay`), or, by a
 * store that was made anew, whole (`recover`). The new bytes; nothing where it changes nothing.
 */
export function mergeRegister(
  before: Uint8Array | undefined,
  incoming: Uint8Array,
  isFill: boolean,
  bugs: PlantedBugs,
): Uint8Array | undefined {
  const local = before && decodeRegister(before);
  const take = isFill && !bugs.has('recovered-by-ballot-check') ? recover : replay;
  const { state, changed } = take(local, decodeRegister(incoming));
  return changed ? encodeRegister(state) : undefined;
}
