/** Milliseconds as they are told: to a hundredth. */
export function round(ms: number): number {
  return Math.round(ms * 100) / 100;
}
