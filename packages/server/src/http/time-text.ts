const SLOTS = 256;
const seconds = new Float64Array(SLOTS).fill(-1);
const texts = new Array<string>(SLOTS).fill('');
const MILLIS = Array.from({ length: 1000 }, (_, ms) => `.${String(ms).padStart(3, '0')}Z`);

/**
 * `2026-11-23T03:00:00.000Z`. The whole second is cached, because `toISOString` costs half a microsecond and many answers
 * of one moment, or of one value read often, share it.
 */
export function timeText(timeMs: number): string {
  const second = Math.floor(timeMs / 1000);
  const slot = second & (SLOTS - 1);
  if (seconds[slot] !== second) {
    texts[slot] = new Date(second * 1000).toISOString().slice(0, -5);
    seconds[slot] = second;
  }
  return (texts[slot] as string) + (MILLIS[Math.floor(timeMs) - second * 1000] as string);
}
