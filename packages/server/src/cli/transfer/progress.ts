import { Presets, SingleBar } from 'cli-progress';
import type { Dependencies, Output, SignalSource } from '../dependencies.ts';
import { bytesText, countText, durationText } from '../output/figures.ts';
import { beforeSignalEnds } from '../stop-signals.ts';

export interface Progress {
  /** `done` of `total`, in the unit of the total; `rows` so far. */
  update(done: number, rows: number): void;
  stop(): void;
}

const LINE_EVERY_MS = 5_000;

/**
 * Shows how far a transfer is: a bar with rate and time left on a terminal, a line every five seconds elsewhere. A total
 * in bytes; `undefined` where it is not known.
 */
export function startProgress(
  { stderr, signals }: Pick<Dependencies, 'stderr' | 'signals'>,
  what: string,
  totalBytes: number | undefined,
): Progress {
  return stderr.isTTY ? bar(stderr, signals, what, totalBytes) : lines(stderr, what, totalBytes);
}

function bar(output: Output, signals: SignalSource, what: string, totalBytes: number | undefined): Progress {
  const startedMs = performance.now();
  const format =
    totalBytes === undefined
      ? `${what} {rows} rows · {rate}/s · {elapsed}`
      : `${what} {bar} {percentage}% · {rows} rows · {rate}/s · {left} left`;
  const single = new SingleBar(
    {
      format,
      stream: output as NodeJS.WritableStream,
      hideCursor: true,
      clearOnComplete: true,
      barsize: 24,
      fps: 10,
      linewrap: false,
      // It would take the signal for itself, and let the transfer go on unseen.
      gracefulExit: false,
    },
    Presets.shades_classic,
  );
  const payload = (done: number, rows: number) => {
    const elapsedMs = performance.now() - startedMs;
    const leftMs = totalBytes !== undefined && done > 0 ? (elapsedMs * (totalBytes - done)) / done : null;
    return {
      rows: countText(rows),
      rate: countText((rows * 1_000) / Math.max(1, elapsedMs)),
      left: durationText(leftMs && Math.round(leftMs)),
      elapsed: durationText(Math.round(elapsedMs)),
    };
  };
  // The terminal gets its cursor back first.
  const release = beforeSignalEnds(signals, () => single.stop());
  single.start(totalBytes ?? 1, 0, payload(0, 0));
  // Batches are answered in any order: one that stands earlier in the file must not take the bar back.
  let furthest = 0;
  return {
    update: (done, rows) => {
      furthest = Math.max(furthest, done);
      single.update(totalBytes === undefined ? 0 : furthest, payload(furthest, rows));
    },
    stop: () => {
      release();
      single.stop();
    },
  };
}

function lines(output: Output, what: string, totalBytes: number | undefined): Progress {
  const startedMs = performance.now();
  let lastMs = startedMs;
  let furthest = 0;
  return {
    update: (done, rows) => {
      furthest = Math.max(furthest, done);
      const nowMs = performance.now();
      if (nowMs - lastMs < LINE_EVERY_MS) return;
      lastMs = nowMs;
      const share = totalBytes ? ` (${Math.floor((furthest * 100) / totalBytes)}% of ${bytesText(totalBytes)})` : '';
      output.write(`${what} ${countText(rows)} rows${share}, ${countText((rows * 1_000) / (nowMs - startedMs))}/s\n`);
    },
    stop: () => {},
  };
}
