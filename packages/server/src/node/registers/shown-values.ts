import { type Ballot, compareBallots } from '@meridian/core/coordination/paxos/ballot';
import type { Proposal, RegisterValue } from '@meridian/core/coordination/paxos/register';
import type { RecordKey } from '@meridian/core/ids';
import { decodeRegisterValue, encodeRegisterValue } from '@meridian/core/wire/register-codec';

/** Of what was shown since the last turn; as much again may be left of what was shown before. */
const ENTRIES_MAX = 8_192;
const BYTES_MAX = 8 * 1024 * 1024;

interface Shown {
  readonly ballot: Ballot;
  readonly value: RegisterValue | null;
}

/**
 * What this node has shown of registers by a mark. An acceptance by one who does not know what was chosen may go over it while
 * its mark is still on the way: it was being written when the mark came, or another node of a shared store, which has no such
 * mark, took it. The row then tells of an older one than was shown. The one shown longest ago goes first.
 */
export class ShownValues {
  #recent = new Map<RecordKey, Shown>();
  #before = new Map<RecordKey, Shown>();
  #bytes = 0;

  put(key: RecordKey, { ballot, value }: Proposal): void {
    const shown = this.#of(key);
    if (shown && compareBallots(shown.ballot, ballot) >= 0) return;
    // A copy: what was read may be a view on all that a database sent at once.
    const bytes = encodeRegisterValue(value).slice();
    this.#recent.set(key, { ballot, value: decodeRegisterValue(bytes) });
    this.#bytes += bytes.length;
    if (this.#recent.size < ENTRIES_MAX && this.#bytes < BYTES_MAX) return;
    this.#before = this.#recent;
    this.#recent = new Map();
    this.#bytes = 0;
  }

  /** What was chosen last: what the row says is committed, or what was shown. */
  latest(key: RecordKey, committed: Proposal | undefined): Pick<Proposal, 'value'> | undefined {
    const shown = this.#of(key);
    return !shown || (committed && compareBallots(committed.ballot, shown.ballot) >= 0) ? committed : shown;
  }

  #of(key: RecordKey): Shown | undefined {
    return this.#recent.get(key) ?? this.#before.get(key);
  }
}
