import type { HistoryEvent } from './event.ts';
import { OrderCheck } from './history.ts';

export interface Invocation {
  readonly f: string;
  readonly key: string;
  readonly value?: unknown;
  readonly tag?: string | undefined;
  readonly session?: string | undefined;
  readonly at?: string | undefined;
}

export interface Completion {
  readonly type: 'ok' | 'fail' | 'info';
  readonly value?: unknown;
  readonly error?: string | undefined;
  readonly tag?: string | undefined;
  readonly at?: string | undefined;
}

/** Takes events down in the order in which they happen in this program, which is the order that checkers go by. */
export class Recorder {
  readonly #events: HistoryEvent[] = [];
  readonly #order = new OrderCheck();
  readonly #nowMs: () => number;
  #processes = 0;

  /** `nowMs` counts from the beginning of the history and only goes forward. */
  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  get events(): readonly HistoryEvent[] {
    return this.#events;
  }

  /** A number that no process of this history has had. */
  newProcess(): number {
    return this.#processes++;
  }

  /** Call it before the request leaves. What it gives is called with what came of it, once the answer is here. */
  invoke(process: number, { f, key, value = null, ...more }: Invocation): (completion: Completion) => void {
    this.#add({ process, type: 'invoke', f, key, value, time: this.#timeMs(), ...present(more) });
    return ({ type, value: result = null, ...rest }) =>
      this.#add({
        process,
        type,
        f,
        key,
        value: result,
        time: this.#timeMs(),
        ...present({ session: more.session, at: more.at, ...present(rest) }),
      });
  }

  #add(event: HistoryEvent): void {
    this.#order.take(event);
    this.#events.push(event);
  }

  /** Microseconds are as fine as a client can tell; the rest would only lengthen the file. */
  #timeMs(): number {
    return Math.round(this.#nowMs() * 1_000) / 1_000;
  }
}

type Present<Fields> = { [Name in keyof Fields]?: Exclude<Fields[Name], undefined> };

function present<Fields extends object>(fields: Fields): Present<Fields> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Present<Fields>;
}
