import { type Logger, pino } from 'pino';

export interface LogOptions {
  readonly level: string;
  readonly format: 'json' | 'pretty';
  readonly node: string;
  readonly region: string;
}

/** Structured logs: one line per event worth waking for, on stdout. */
export function openLog({ level, format, node, region }: LogOptions): Logger {
  const base = { node, region };
  const options = {
    level,
    base,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
  };
  return format === 'pretty' ? pino(options, prettyStream()) : pino(options);
}

/** Told once by the line's beginning, or by the terminal itself. */
const NOT_SHOWN: ReadonlySet<string> = new Set(['level', 'time', 'msg', 'node', 'region']);

/** For eyes: time, level, node, event, then the fields. */
function prettyStream(): { write(line: string): void } {
  return {
    write: (line) => {
      const event = JSON.parse(line) as Record<string, unknown>;
      const fields = Object.entries(event)
        .filter(([name]) => !NOT_SHOWN.has(name))
        .map(([name, value]) => `  ${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`);
      const time = String(event.time).slice(11, 23);
      process.stdout.write(
        `${time} ${String(event.level).padEnd(5)} ${String(event.node)} ${String(event.msg)}${fields.join('')}\n`,
      );
    },
  };
}
