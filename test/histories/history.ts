import { eventOf, type HistoryEvent, HistoryProblem, lineOf } from './event.ts';

export interface History {
  /** Lines that begin with `#`, without it: what the history is, in words. */
  readonly comments: readonly string[];
  readonly events: readonly HistoryEvent[];
}

/**
 * Reads newline-delimited JSON, one event a line. Empty lines, and lines that begin with `#`, are no events.
 * @throws HistoryProblem with the number of the line that no client could have recorded
 */
export function parseHistory(text: string): History {
  const comments: string[] = [];
  const events: HistoryEvent[] = [];
  const order = new OrderCheck();
  for (const [at, line] of text.split('\n').entries()) {
    if (line.trim() === '') continue;
    if (line.startsWith('#')) {
      comments.push(line.slice(1).trim());
      continue;
    }
    try {
      const event = eventOf(line);
      order.take(event);
      events.push(event);
    } catch (error) {
      if (error instanceof HistoryProblem) throw new HistoryProblem(`line ${at + 1} ${error.message}`);
      throw error;
    }
  }
  return { comments, events };
}

export function historyText({ comments, events }: History): string {
  return [...comments.map((comment) => `# ${comment}`), ...events.map(lineOf), ''].join('\n');
}

/** Events of one history come in an order that processes of one thread can bring about. */
export class OrderCheck {
  readonly #pending = new Map<number, HistoryEvent>();
  readonly #ended = new Set<number>();
  #timeMs = 0;

  /** @throws HistoryProblem where `event` cannot follow those taken before */
  take(event: HistoryEvent): void {
    const { process, type, time } = event;
    if (time < this.#timeMs) throw new HistoryProblem(`is before the line above it: ${time} ms, ${this.#timeMs} ms`);
    this.#timeMs = time;
    const pending = this.#pending.get(process);
    if (type === 'invoke') {
      if (pending) throw new HistoryProblem(`begins an operation of process ${process}, which is in one`);
      if (this.#ended.has(process)) throw new HistoryProblem(`is of process ${process}, which ended with info`);
      this.#pending.set(process, event);
      return;
    }
    if (!pending) throw new HistoryProblem(`ends an operation of process ${process}, which is in none`);
    if (pending.f !== event.f || pending.key !== event.key)
      throw new HistoryProblem(
        `ends ${event.f} ${event.key}, but process ${process} is in ${pending.f} ${pending.key}`,
      );
    this.#pending.delete(process);
    if (type === 'info') this.#ended.add(process);
  }
}
