import { writeSync } from 'node:fs';
import { type Logger, pino } from 'pino';
import { LogOutput } from './log-output.ts';

export interface LogOptions {
  readonly level: string;
  readonly format: 'json' | 'pretty';
  readonly node: string;
  readonly region: string;
}

const STDOUT = 1;
/** A reader that stands still is looked for again after so long. */
const RETRY_MS = 100;

/** Structured logs: one line per event worth waking for, on stdout. */
export function openLog({ level, format, node, region }: LogOptions): Logger {
  const base = { node, region };
  const options = {
    level,
    base,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
  };
  const output = new LogOutput({
    write: (bytes) => writeSync(STDOUT, bytes),
    retryLater: (retry) => void setTimeout(retry, RETRY_MS).unref(),
    onLost: (linesLost) => log.warn({ linesLost }, 'lines of this log were lost: their output took nothing'),
  });
  process.once('exit', () => output.flush());
  const log = pino(options, format === 'pretty' ? prettyStream(output) : output);
  return log;
}

/** Told once by the line's beginning, or by the terminal itself. */
const NOT_SHOWN: ReadonlySet<string> = new Set(['level', 'time', 'msg', 'node', 'region']);

/** For eyes: time, level, node, event, then the fields. */
function prettyStream(output: LogOutput): { write(line: string): void } {
  return {
    write: (line) => {
      const event = JSON.parse(line) as Record<string, unknown>;
      const fields = Object.entries(event)
        .filter(([name]) => !NOT_SHOWN.has(name))
        .map(([name, value]) => `  ${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`);
      const time = String(event.time).slice(11, 23);
      output.write(
        `${time} ${String(event.level).padEnd(5)} ${String(event.node)} ${String(event.msg)}${fields.join('')}\n`,
      );
    },
  };
}
