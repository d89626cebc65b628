import type { PartName } from './options.ts';

export type Unit = 'requests/s' | 'keys/s' | 'ms' | 'MiB';

/** One line of the result: what was measured, what stands beside it from the same run, and what is wanted of their ratio. */
export interface Figure {
  readonly part: PartName;
  readonly what: string;
  readonly unit: Unit;
  readonly measured: number;
  /** What `measured` is divided by. */
  readonly beside: { readonly what: string; readonly value: number };
  readonly ratio: number;
  /** None for a figure that is shown for its own sake. */
  readonly target: Target | undefined;
  readonly note?: string;
}

export type Target = { readonly atLeast: number } | { readonly atMost: number };

export function figure(parts: Omit<Figure, 'ratio'>): Figure {
  return { ...parts, ratio: parts.measured / parts.beside.value };
}

export function isMet({ ratio, target }: Figure): boolean | undefined {
  if (!target) return undefined;
  return 'atLeast' in target ? ratio >= target.atLeast : ratio <= target.atMost;
}
