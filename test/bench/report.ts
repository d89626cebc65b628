import { type Figure, isMet, type Target, type Unit } from './figure.ts';

const COLUMNS = ['what', 'measured', 'beside', 'ratio', 'target', ''] as const;
const ALIGN_RIGHT: ReadonlySet<number> = new Set([1, 3, 4]);

/** The figures as a table for eyes, with the notes below it. */
export function reportLines(figures: readonly Figure[]): readonly string[] {
  const rows = figures.map((one) => [
    one.what,
    amount(one.measured, one.unit),
    `${amount(one.beside.value, one.unit)}  ${one.beside.what}`,
    `${one.ratio.toFixed(2)} x`,
    targetText(one.target),
    verdict(one),
  ]);
  const widths = COLUMNS.map((title, at) => Math.max(title.length, ...rows.map((row) => row[at]?.length ?? 0)));
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, at) => pad(cell, widths[at] ?? 0, ALIGN_RIGHT.has(at)))
      .join('  ')
      .trimEnd();
  const notes = figures.filter(({ note }) => note !== undefined).map(({ what, note }) => `${what}: ${note}`);
  return [
    line(COLUMNS),
    line(widths.map((width) => '-'.repeat(width))),
    ...rows.map(line),
    ...(notes.length > 0 ? ['', ...notes] : []),
  ];
}

function verdict(one: Figure): string {
  const met = isMet(one);
  if (met === undefined) return '';
  return met ? 'ok' : 'falls short';
}

function targetText(target: Target | undefined): string {
  if (!target) return '';
  return 'atLeast' in target ? `>= ${target.atLeast.toFixed(2)} x` : `<= ${target.atMost.toFixed(2)} x`;
}

export function amount(value: number, unit: Unit): string {
  const digits = unit === 'ms' ? (value < 10 ? 2 : 1) : 0;
  const text = value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits });
  return `${text} ${unit}`;
}

function pad(text: string, width: number, isRight: boolean): string {
  return isRight ? text.padStart(width) : text.padEnd(width);
}
