import type { CancelTimer, Clock } from '../../ports/clock.ts';

/** Node takes longer delays for one of 1 ms. */
const DELAY_MS_MAX = 2 ** 31 - 1;

/** The machine's clock and Node's timers. A pending timer keeps the process alive: whoever stops cancels it. */
export const systemClock: Clock = {
  wallMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  timer: startTimer,
  soon: (fire) => {
    setImmediate(fire);
  },
};

/** Node fires up to 0.8 ms early, since it counts in whole milliseconds of the loop's own time: then the rest is waited for. */
function startTimer(delayMs: number, fire: () => void): CancelTimer {
  const dueMs = performance.now() + delayMs;
  let handle = setTimeout(check, waitFor(delayMs));
  function check(): void {
    const leftMs = dueMs - performance.now();
    if (leftMs > 0) handle = setTimeout(check, waitFor(leftMs));
    else fire();
  }
  return () => clearTimeout(handle);
}

function waitFor(delayMs: number): number {
  return Math.min(Math.ceil(delayMs), DELAY_MS_MAX);
}
