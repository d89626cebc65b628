import type { Random } from '@meridian/server/ports/random';

const ALPHABET = 'abcdefghijklmnopqrstuvwxyz234567';

/** The same numbers for the same seed (mulberry32). */
export class SeededRandom implements Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  uint32(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return (mixed ^ (mixed >>> 14)) >>> 0;
  }

  id(length: number): string {
    return Array.from({ length }, () => ALPHABET[this.uint32() % ALPHABET.length]).join('');
  }

  /** In [0, 1). */
  share(): number {
    return this.uint32() / 2 ** 32;
  }

  below(bound: number): number {
    return Math.floor(this.share() * bound);
  }

  between(low: number, high: number): number {
    return low + this.share() * (high - low);
  }

  chance(share: number): boolean {
    return this.share() < share;
  }

  pick<Item>(items: readonly Item[]): Item {
    return items[this.below(items.length)] as Item;
  }

  /** An own source, so that what one part draws does not shift what another does. */
  fork(): SeededRandom {
    return new SeededRandom(this.uint32());
  }
}
