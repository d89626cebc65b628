import { type Ballot, sameBallot } from '@meridian/core/coordination/paxos/ballot';
import { endOfNamespace, type RecordKey, recordKey } from '@meridian/core/ids';
import { decodeRegister, isRegisterBytes } from '@meridian/core/wire/register-codec';
import type { CancelTimer } from '../../ports/clock.ts';
import type { Random } from '../../ports/random.ts';
import type { StoredRow } from '../../ports/store.ts';
import { CATALOG_NAMESPACE } from '../catalog.ts';
import type { NodeState } from '../node-state.ts';
import type { ChosenMarks } from './chosen-marks.ts';
import type { Registers } from './registers.ts';

/** What was accepted and has not been heard to be chosen for so long is looked into: whoever proposed it may be gone. */
const UNSETTLED_MS = 3_000;
const LOOK_MS = 1_000;
/** Registers looked into at a time, so that it disturbs no requests. */
const AT_ONCE = 64;
/** Beyond this the rest waits until these are settled, and is then found by a look through the store. */
const KEYS_MAX = 20_000;
const SCAN_ROWS = 512;
const SCAN_BYTES = 1024 * 1024;
const READ_TIMEOUT_MS = 5_000;

interface Unsettled {
  readonly accepted: Ballot;
  readonly seenAtMs: number;
}

/**
 * Settles registers whose proposer did not come to tell what was chosen: it died, or its word was lost. A read through
 * consensus either finds that it was chosen or sees to it, and marks it; without it relaxed reads would show the value of
 * before for as long as nobody asks for more.
 */
export class Settling {
  readonly #state: NodeState;
  readonly #registers: Registers;
  readonly #random: Random;
  readonly #marks: () => ChosenMarks;
  /** What was accepted, by when it was first seen, in order. */
  readonly #unsettled = new Map<RecordKey, Unsettled>();
  #hasMore = true;
  #isScanning = false;
  #running = 0;
  #cancelTimer: CancelTimer = () => {};
  #isStopped = false;

  constructor(state: NodeState, registers: Registers, random: Random, marks: () => ChosenMarks) {
    this.#marks = marks;
    this.#state = state;
    this.#registers = registers;
    this.#random = random;
  }

  start(): void {
    // Not all nodes at once: the first to look settles it for all.
    const delayMs = LOOK_MS + (this.#random.uint32() % LOOK_MS);
    this.#cancelTimer = this.#state.clock.timer(delayMs, () => {
      this.#look();
      if (!this.#isStopped) this.start();
    });
  }

  stop(): void {
    this.#isStopped = true;
    this.#cancelTimer();
  }

  get count(): number {
    return this.#unsettled.size;
  }

  note(key: RecordKey, accepted: Ballot): void {
    if (sameBallot(this.#unsettled.get(key)?.accepted, accepted)) return;
    this.#unsettled.delete(key);
    if (this.#unsettled.size >= KEYS_MAX) this.#hasMore = true;
    else this.#unsettled.set(key, { accepted, seenAtMs: this.#state.clock.monotonicMs() });
  }

  /** This ballot is known to be chosen, whether or not a row says so. What was accepted above it is as unsettled as before. */
  forget(key: RecordKey, chosen: Ballot): void {
    if (sameBallot(this.#unsettled.get(key)?.accepted, chosen)) this.#unsettled.delete(key);
  }

  /**
   * Every commit passes by here: what it leaves unsettled is remembered, what it goes past is forgotten. That this store has
   * come to mark it does not say that the store that proposed it has it.
   */
  onRows(rows: readonly StoredRow[]): void {
    for (const { key, record } of rows) {
      if (!isRegisterBytes(record)) continue;
      const { accepted, committed } = decodeRegister(record);
      if (accepted && accepted !== committed && !this.#marks().has(key, accepted.ballot))
        this.note(key, accepted.ballot);
      else if (!sameBallot(this.#unsettled.get(key)?.accepted, accepted?.ballot)) this.#unsettled.delete(key);
      this.#marks().onRow(key, accepted?.ballot, committed?.ballot);
    }
  }

  #look(): void {
    const { filling } = this.#state;
    if (!filling.isFilled()) return;
    if (this.#hasMore && !this.#isScanning && this.#unsettled.size < KEYS_MAX / 2) this.#scan();
    this.#settleDue();
  }

  #settleDue(): void {
    const dueMs = this.#state.clock.monotonicMs() - UNSETTLED_MS;
    for (const [key, { accepted, seenAtMs }] of this.#unsettled) {
      if (seenAtMs > dueMs || this.#running >= AT_ONCE || this.#isStopped) break;
      this.#unsettled.delete(key);
      this.#settle(key, accepted);
    }
  }

  #settle(key: RecordKey, accepted: Ballot): void {
    if (!this.#state.catalog.isHeldHere(key)) return;
    this.#running += 1;
    this.#registers
      .settle(key, accepted, 'settle', READ_TIMEOUT_MS)
      // Where no majority answers it comes up again with the next look.
      .catch(() => this.note(key, accepted))
      .finally(() => {
        this.#running -= 1;
        this.#settleDue();
      });
  }

  /** After a start, and where there was more than memory shall hold. */
  #scan(): void {
    this.#isScanning = true;
    this.#hasMore = false;
    this.#scanAll()
      .catch((error: unknown) => {
        this.#hasMore = true;
        this.#state.log.warn({ reason: (error as Error).message }, 'looking for unsettled registers failed');
      })
      .finally(() => {
        this.#isScanning = false;
      });
  }

  async #scanAll(): Promise<void> {
    const { catalog, store } = this.#state;
    const strong = catalog.all().filter(({ mode }) => mode === 'strong');
    for (const id of [CATALOG_NAMESPACE, ...strong.map((namespace) => namespace.id)]) {
      const to = endOfNamespace(id);
      let from = recordKey(id, '');
      for (let isComplete = false; !isComplete && !this.#isStopped; ) {
        const page = await store.scan(from, to, { rowsMax: SCAN_ROWS, bytesMax: SCAN_BYTES });
        for (const { key, record } of page.rows) {
          const accepted = isRegisterBytes(record) ? unsettledIn(record) : undefined;
          if (accepted) this.note(key, accepted);
        }
        isComplete = page.isComplete;
        const last = page.rows[page.rows.length - 1];
        if (last) from = `${last.key}\0` as RecordKey;
        // Live requests get their turn between two pages.
        await new Promise<void>((resolve) => this.#state.clock.soon(resolve));
      }
    }
  }
}

function unsettledIn(record: Uint8Array): Ballot | undefined {
  const { accepted, committed } = decodeRegister(record);
  return accepted === committed ? undefined : accepted?.ballot;
}
