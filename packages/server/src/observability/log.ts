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

/** For eyes: time, level, event, then the fields. */
function prettyStream(): { write(line: string): void } {
  return {
    write: (line) => {
      const { level, time, msg, node, region, ...fields } = JSON.parse(line) as Record<string, unknown>;
      const rest = Object.entries(fields).map(
        ([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`,
      );
      process.stdout.write(
        `${String(time).slice(11, 23)} ${String(level).padEnd(5)} ${String(node)} ${String(msg)}${rest.length > 0 ? `  ${rest.join(' ')}` : ''}\n`,
      );
      void region;
    },
  };
}
