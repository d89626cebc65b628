import type { Recorder } from '../histories/recorder.ts';
import type { SeededRandom } from '../simulation/seeded-random.ts';
import { type ChaosRequest, send, type Told } from './request.ts';
import { keyUrl, type Workload } from './workload.ts';

/** One thread of work. Its process number changes whenever nobody knows what became of its last operation. */
export interface Actor {
  process: number;
  readonly random: SeededRandom;
}

/** A value and the tag that names it. */
export interface Tagged {
  readonly value: unknown;
  readonly tag: string | undefined;
}

interface Doing {
  readonly f: string;
  readonly key: string;
  readonly value?: unknown;
  /** The tag that the condition names. */
  readonly tag?: string | undefined;
  readonly to: (node: string) => ChaosRequest;
  /** Repeats are safe where the request carries an idempotency key. */
  readonly mayRepeat?: boolean;
}

const REPEATS_MAX = 2;
/** Of the writes, those that carry an idempotency key. */
const IDEMPOTENT_SHARE = 0.4;

/** Operations on registers, taken down in a history. */
export class RegisterOperations {
  readonly #recorder: Recorder;
  readonly #workload: Workload;
  readonly #namespace: string;
  #written = 0;

  constructor(recorder: Recorder, workload: Workload, namespace: string) {
    this.#recorder = recorder;
    this.#workload = workload;
    this.#namespace = namespace;
  }

  newActor(random: SeededRandom): Actor {
    return { process: this.#recorder.newProcess(), random };
  }

  /** A value that no other write has. */
  newValue(actor: Actor): string {
    return `${actor.process}-${this.#written++}`;
  }

  async read(actor: Actor, key: string, node?: string): Promise<Tagged | undefined> {
    const told = await this.#perform(actor, { f: 'read', key, to: this.#to('GET', key) }, node);
    return taggedOf(told);
  }

  /** The value last known committed at the nearest replica. */
  async relaxedRead(actor: Actor, key: string): Promise<void> {
    const to = (node: string): ChaosRequest => ({
      method: 'GET',
      url: keyUrl(this.#workload, node, this.#namespace, key, 'eventual'),
    });
    await this.#perform(actor, { f: 'relaxed-read', key, to });
  }

  write(actor: Actor, key: string, value: unknown): Promise<Told> {
    return this.#perform(actor, { f: 'write', key, value, ...this.#change(actor, 'PUT', key, { body: { value } }) });
  }

  cas(actor: Actor, key: string, expected: Tagged, value: unknown): Promise<Told> {
    const change = this.#change(actor, 'PUT', key, { body: { value }, condition: { 'if-match': expected.tag } });
    return this.#perform(actor, { f: 'cas', key, value: [expected.value, value], tag: expected.tag, ...change });
  }

  create(actor: Actor, key: string, value: unknown): Promise<Told> {
    const isPost = actor.random.chance(0.3) && this.#workload.access.hasConditions;
    const change = isPost
      ? this.#change(actor, 'POST', '', { body: { key, value } })
      : this.#change(actor, 'PUT', key, { body: { value }, condition: { 'if-none-match': '*' } });
    return this.#perform(actor, { f: 'create', key, value, ...change });
  }

  delete(actor: Actor, key: string): Promise<Told> {
    return this.#perform(actor, { f: 'delete', key, ...this.#change(actor, 'DELETE', key, {}) });
  }

  casDelete(actor: Actor, key: string, expected: Tagged): Promise<Told> {
    const change = this.#change(actor, 'DELETE', key, { condition: { 'if-match': expected.tag } });
    return this.#perform(actor, { f: 'cas-delete', key, value: expected.value, tag: expected.tag, ...change });
  }

  #to(
    method: ChaosRequest['method'],
    key: string,
    more: Pick<ChaosRequest, 'headers' | 'body'> = {},
  ): (node: string) => ChaosRequest {
    const { level } = this.#workload.access;
    return (node) => ({ method, url: keyUrl(this.#workload, node, this.#namespace, key, level), ...more });
  }

  #change(
    actor: Actor,
    method: 'PUT' | 'POST' | 'DELETE',
    key: string,
    { body, condition = {} }: { readonly body?: unknown; readonly condition?: Record<string, string | undefined> },
  ): Pick<Doing, 'to' | 'mayRepeat'> {
    const mayRepeat = this.#workload.access.hasConditions && actor.random.chance(IDEMPOTENT_SHARE);
    const headers = {
      ...(this.#workload.access.hasConditions ? condition : {}),
      ...(mayRepeat ? { 'idempotency-key': actor.random.id(20) } : {}),
    };
    return { mayRepeat, to: this.#to(method, key, { headers, body }) };
  }

  async #perform(actor: Actor, doing: Doing, node?: string): Promise<Told> {
    const first = node ?? actor.random.pick(this.#workload.world.nodes);
    const { f, key, value, tag } = doing;
    const complete = this.#recorder.invoke(actor.process, { f, key, value, tag, at: first });
    const told = await this.#sendUntilKnown(actor, doing, first);
    if (told.type === 'ok') {
      complete({ type: 'ok', value: f.endsWith('read') ? told.body?.value : null, tag: told.tag });
    } else if (f.endsWith('read') && told.error === 'KEY_NOT_FOUND') {
      complete({ type: 'ok', value: null });
    } else {
      complete({ type: told.type, error: told.error });
      if (told.type === 'info') actor.process = this.#recorder.newProcess();
    }
    return told;
  }

  /**
   * Repeats go to other nodes. Once an attempt was left without an answer, no later refusal tells what becomes of it: it may
   * still be under way, and find its condition to hold yet.
   */
  async #sendUntilKnown({ random }: Actor, { to, mayRepeat = false }: Doing, first: string): Promise<Told> {
    let told = await send(to(first));
    for (let repeat = 0; mayRepeat && told.type === 'info' && repeat < REPEATS_MAX; repeat++) {
      const again = await send(to(random.pick(this.#workload.world.nodes)));
      if (again.type === 'ok') return again;
      told = { type: 'info', error: again.error };
    }
    return told;
  }
}

function taggedOf(told: Told): Tagged | undefined {
  if (told.type === 'ok') return { value: told.body?.value, tag: told.tag };
  return told.error === 'KEY_NOT_FOUND' ? { value: null, tag: undefined } : undefined;
}
