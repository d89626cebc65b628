import type { Style } from '../output/style.ts';

/** The numbers of pino's levels; a node writes their names. */
const NUMBERS: Readonly<Record<string, number>> = { trace: 10, debug: 20, info: 30, warn: 40, error: 50, fatal: 60 };
const WARNING = 40;
const LEVELS: readonly (readonly [number, string, Parameters<Style>[0]])[] = [
  [50, 'error', 'red'],
  [WARNING, 'warn', 'yellow'],
  [30, 'info', 'green'],
  [0, 'debug', 'dim'],
];
const HIDDEN = new Set(['level', 'time', 'msg', 'pid', 'hostname', 'node', 'region', 'name']);

/** A line of a node's log for eyes, `node │ level event figures`; nothing where it is not worth showing. */
export function shownLogLine(node: string, line: string, isVerbose: boolean, style: Style): string | undefined {
  const event = parseEvent(line);
  const start = `${style('dim', `${node} │`)} `;
  if (!event) return line.trim() === '' ? undefined : start + line;
  const level = typeof event.level === 'number' ? event.level : (NUMBERS[String(event.level)] ?? 30);
  if (level < WARNING && !isVerbose) return undefined;
  const [, name, look] = LEVELS.find(([from]) => level >= from) ?? [0, 'info', 'green' as const];
  const figures = Object.entries(event)
    .filter(([field]) => !HIDDEN.has(field))
    .map(([field, value]) => style('dim', `${field}=`) + figureText(value));
  return [start + style(look, name.padEnd(5)), figureText(event.msg ?? ''), ...figures].join(' ');
}

function parseEvent(line: string): Record<string, unknown> | undefined {
  if (!line.startsWith('{')) return undefined;
  try {
    return JSON.parse(line) as Record<string, unknown>;
  } catch {
    return undefined;
  }
}

function figureText(value: unknown): string {
  if (typeof value !== 'object' || value === null) return String(value);
  const { message } = value as { message?: unknown };
  return typeof message === 'string' ? JSON.stringify(message) : JSON.stringify(value);
}
