import type { RegisterValue } from '@meridian/core/coordination/paxos/register';
import { namespaceIdOf, type RecordKey } from '@meridian/core/ids';
import { decodeRegister } from '@meridian/core/wire/register-codec';
import type { Served } from '../answer-heads.ts';
import type { NodeState } from '../node-state.ts';
import { NO_TOKEN, type Reads } from '../reads.ts';
import type { RequestOptions } from '../service.ts';
import { stalenessMs } from '../staleness.ts';
import { storeWithin } from '../store-deadline.ts';
import type { ChosenMarks, Mark } from './chosen-marks.ts';
import type { Settling } from './settling.ts';
import { ShownValues } from './shown-values.ts';

export interface RelaxedAnswer {
  readonly value: RegisterValue | null;
  readonly served: Served;
  readonly stalenessMs: number | null;
}

/** Reads at local latency: what the nearest replica knows to be chosen. Never what it has only accepted. */
export class RelaxedReads {
  readonly #state: NodeState;
  readonly #reads: Reads;
  readonly #marks: ChosenMarks;
  readonly #settling: Settling;
  readonly #shown = new ShownValues();

  constructor(state: NodeState, reads: Reads, marks: ChosenMarks, settling: Settling) {
    this.#state = state;
    this.#reads = reads;
    this.#marks = marks;
    this.#settling = settling;
  }

  async read(key: RecordKey, options: RequestOptions): Promise<RelaxedAnswer> {
    const { catalog, self, replica, metrics } = this.#state;
    if (!catalog.isHeldHere(key)) {
      const { record, stalenessMs: behindMs, ...served } = await this.#reads.read(key, NO_TOKEN, options);
      const sibling = record?.siblings[0];
      const value = sibling
        ? { ...sibling, version: sibling.dot.sequence, writer: sibling.dot.store, requests: [] }
        : null;
      return { value, served, stalenessMs: behindMs };
    }
    metrics.readsLocal += 1;
    const served = { ...self.whoAmI(), asked: 1, answered: 1, hops: [], rounds: 0 };
    const before = this.#marks.of(key);
    const value = this.#known(key, await storeWithin(this.#state, options.timeoutMs, replica.readBytes(key)), before);
    return { value, served, stalenessMs: stalenessMs(this.#state, namespaceIdOf(key)) };
  }

  #known(key: RecordKey, bytes: Uint8Array | undefined, before: Mark | undefined): RegisterValue | null {
    if (!bytes) return null;
    const { accepted, committed } = decodeRegister(bytes);
    if (accepted && accepted !== committed) {
      if (this.#marks.has(key, accepted.ballot, before) || this.#state.bugs.has('relaxed-read-of-accepted')) {
        this.#shown.put(key, accepted);
        return accepted.value;
      }
      this.#settling.note(key, accepted.ballot);
      return this.#shown.latest(key, committed)?.value ?? null;
    }
    return committed?.value ?? null;
  }
}
