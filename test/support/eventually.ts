import { setTimeout as sleep } from 'node:timers/promises';

export interface Patience {
  /** For the message, should it never come about. */
  readonly what: string;
  readonly withinMs?: number;
  readonly everyMs?: number;
}

/**
 * Asks until the answer is neither `undefined` nor `false`, and gives that answer.
 * @throws Error with what the last try threw, where it does not come about in time
 */
export async function eventually<Answer>(
  ask: () => Promise<Answer | undefined | false>,
  { what, withinMs = 20_000, everyMs = 50 }: Patience,
): Promise<Answer> {
  const deadlineMs = performance.now() + withinMs;
  let trouble = '';
  for (;;) {
    try {
      const answer = await ask();
      if (answer !== undefined && answer !== false) return answer;
      trouble = '';
    } catch (error) {
      trouble = `: ${(error as Error).message}`;
    }
    if (performance.now() > deadlineMs) throw new Error(`${what} did not come about within ${withinMs} ms${trouble}`);
    await sleep(everyMs);
  }
}
