import type { Recorder } from '../histories/recorder.ts';
import type { SessionValue } from '../histories/sessions.ts';
import type { SeededRandom } from '../simulation/seeded-random.ts';
import { send, type Told } from './request.ts';
import { keyUrl, type Workload } from './workload.ts';

const KEYS = 3;
/** Then it forgets its token and begins another session. */
const SESSION_OPERATIONS = 60;

export function sessionKey(epoch: number, index: number): string {
  return `session-${epoch}-${index}`;
}

/** A client that carries a session token, and goes to another node with every request. */
export class SessionClient {
  readonly #recorder: Recorder;
  readonly #workload: Workload;
  readonly #random: SeededRandom;
  readonly #name: string;
  #process: number;
  #token: string | undefined;
  #session = '';
  #node = '';
  #count = 0;

  constructor(recorder: Recorder, workload: Workload, random: SeededRandom, name: string) {
    this.#recorder = recorder;
    this.#workload = workload;
    this.#random = random;
    this.#name = name;
    this.#process = recorder.newProcess();
  }

  async run(): Promise<void> {
    while (!this.#workload.isOver()) {
      if (this.#count++ % SESSION_OPERATIONS === 0) {
        this.#token = undefined;
        this.#session = `${this.#name}-${this.#count}`;
      }
      const key = sessionKey(this.#workload.epoch(), this.#random.below(KEYS));
      const seen = await this.#read(key);
      if (seen?.context !== undefined && this.#random.chance(0.5)) await this.#write(key, seen);
      await this.#workload.pace(this.#random);
    }
  }

  async #read(key: string): Promise<Seen | undefined> {
    const told = await this.#ask('read', key, null, {});
    if (told.type === 'ok') return { ids: idsOf(told.body), context: told.context };
    return told.error === 'KEY_NOT_FOUND' ? { ids: [], context: told.context } : undefined;
  }

  /** Replaces exactly what was seen. A blind write would replace what its replica holds, and the history could not tell what that was. */
  async #write(key: string, { ids, context }: Seen): Promise<void> {
    const value: SessionValue = { id: `${this.#name}-${this.#count}`, over: ids };
    await this.#ask('write', key, value, { 'meridian-context': context });
  }

  async #ask(
    f: 'read' | 'write',
    key: string,
    value: unknown,
    headers: Readonly<Record<string, string | undefined>>,
  ): Promise<Told> {
    const others = this.#workload.world.nodes.filter((node) => node !== this.#node);
    this.#node = this.#random.pick(others);
    const complete = this.#recorder.invoke(this.#process, {
      f,
      key,
      value,
      session: this.#session,
      at: this.#node,
    });
    const told = await send({
      method: f === 'read' ? 'GET' : 'PUT',
      url: keyUrl(this.#workload, this.#node, this.#workload.access.eventual, key, 'session'),
      headers: { ...headers, 'meridian-session': this.#token },
      ...(f === 'read' ? {} : { body: { value } }),
    });
    this.#token = told.session ?? this.#token;
    if (told.type === 'ok') {
      complete({ type: 'ok', value: f === 'read' ? idsOf(told.body) : null });
    } else if (f === 'read' && told.error === 'KEY_NOT_FOUND') complete({ type: 'ok', value: [] });
    else {
      complete({ type: told.type, error: told.error });
      if (told.type === 'info') this.#process = this.#recorder.newProcess();
    }
    return told;
  }
}

interface Seen {
  readonly ids: readonly string[];
  readonly context: string | undefined;
}

/** All live siblings of an answer, by the names that their writers gave them. */
export function idsOf(body: Record<string, unknown> | undefined): readonly string[] {
  if (!body) return [];
  const siblings = (body.siblings ?? [{ value: body.value }]) as readonly { readonly value: SessionValue }[];
  return siblings.map(({ value }) => value.id);
}
