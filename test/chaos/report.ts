import type { Finding } from '../histories/finding.ts';
import type { MixResult } from './run-mix.ts';

/** Lines of a table: one row for each mix, one column for each check. */
export function tableLines(results: readonly MixResult[]): readonly string[] {
  const names = [...new Set(results.flatMap(({ checks }) => [...checks.keys()]))];
  const head = ['mix', 'faults', 'operations', 'ok', 'fail', 'info', ...names];
  const rows = results.map(({ mix, faults, counts: { ok, fail, info }, checks, notPossible }) => {
    if (notPossible !== undefined) return [mix, notPossible];
    return [
      mix,
      ...[faults, ok + fail + info, ok, fail, info].map(String),
      ...names.map((name) => verdictOf(checks.get(name))),
    ];
  });
  const widths = head.map((title, at) =>
    Math.max(title.length, ...rows.map((row) => (row.length === head.length ? (row[at]?.length ?? 0) : 0))),
  );
  return [head, ...rows].map((row) =>
    row
      .map((cell, at) => cell.padEnd(row.length === head.length ? (widths[at] ?? 0) : 12))
      .join('  ')
      .trimEnd(),
  );
}

export function violationsOf({ checks }: MixResult): readonly Finding[] {
  return [...checks.values()].flat();
}

function verdictOf(findings: readonly Finding[] | undefined): string {
  if (!findings) return '-';
  return findings.length === 0 ? 'holds' : `${findings.length} violated`;
}
