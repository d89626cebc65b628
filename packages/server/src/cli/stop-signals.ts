import type { SignalSource } from './dependencies.ts';

/** One Ctrl-C comes two or three times where make and npm stand between; later ones are meant. */
const REPEAT_MS = 1_000;
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/**
 * Calls `stop` at the first signal, and `force` at one that comes more than a second after it. Returns what takes the
 * listeners away.
 */
export function onStopSignals(signals: SignalSource, stop: () => void, force: () => void): () => void {
  let firstMs: number | undefined;
  const listener = () => {
    if (firstMs === undefined) {
      firstMs = performance.now();
      stop();
    } else if (performance.now() - firstMs > REPEAT_MS) force();
  };
  for (const signal of SIGNALS) signals.on(signal, listener);
  return () => {
    for (const signal of SIGNALS) signals.off(signal, listener);
  };
}

/** Resolves at the first signal. */
export function stopSignal(signals: SignalSource, force: () => void = () => {}): Promise<void> {
  return new Promise((resolve) => {
    onStopSignals(signals, resolve, force);
  });
}

/** Runs `work` when a signal comes, which then ends the process as it would have. Returns what takes the listeners away. */
export function beforeSignalEnds(signals: SignalSource, work: () => void): () => void {
  const listeners = SIGNALS.map((signal) => [signal, () => end(signal)] as const);
  const release = () => {
    for (const [signal, listener] of listeners) signals.off(signal, listener);
  };
  const end = (signal: NodeJS.Signals) => {
    release();
    try {
      work();
    } finally {
      // With others that listen, the last of them to let go ends the process.
      process.kill(process.pid, signal);
    }
  };
  for (const [signal, listener] of listeners) signals.on(signal, listener);
  return release;
}
