import { describe, expect, it } from 'vitest';
import { ballot, holding, proposal, value } from './register.testing.ts';
import { chosenBy, highestAccepted, isExpiredBy, middleClockMs } from './register-read.ts';

const four = proposal(4);
const five = proposal(5);

describe('what replies show to be chosen', () => {
  it('is nothing while fewer than a majority have answered', () => {
    expect(chosenBy([holding(four)], 2)).toBeUndefined();
    expect(chosenBy([holding(four, { committed: ballot(4) })], 2)).toBeUndefined();
  });

  it('is what a majority has accepted, whatever a minority has accepted above it', () => {
    expect(chosenBy([holding(four), holding(four)], 2)).toEqual({ proposal: four });
    expect(chosenBy([holding(five), holding(four), holding(four)], 2)).toEqual({ proposal: four });
  });

  it('is nothing where no ballot has a majority', () => {
    expect(chosenBy([holding(five), holding(four)], 2)).toBeUndefined();
    expect(chosenBy([holding(five), holding(undefined)], 2)).toBeUndefined();
    expect(chosenBy([holding(five), holding(four), holding(undefined)], 2)).toBeUndefined();
  });

  it('is what one store knows to be chosen, where a majority has accepted nothing above it', () => {
    expect(chosenBy([holding(five, { committed: ballot(5) }), holding(four)], 2)).toEqual({ proposal: five });
    expect(chosenBy([holding(five), holding(four, { committed: ballot(4) })], 2)).toBeUndefined();
  });

  it('is that the key was never written, where a majority has accepted nothing', () => {
    expect(chosenBy([holding(), holding()], 2)).toEqual({ proposal: undefined });
    expect(chosenBy([holding(four), holding(), holding()], 2)).toEqual({ proposal: undefined });
  });

  it('is not what a store only took over from others', () => {
    expect(chosenBy([holding(four), holding(four, { isHearsay: true })], 2)).toBeUndefined();
    expect(highestAccepted([holding(four), holding(five, { isHearsay: true })])).toBe(five);
  });
});

describe('the time by most clocks', () => {
  const at = (...clocks: number[]) => clocks.map((wallMs) => holding(undefined, { wallMs }));

  it('tells whether a value has expired; a tie keeps it', () => {
    const { expiresAtMs } = value(1, { expiresAtMs: 100 });
    expect(isExpiredBy(at(100, 100, 5), expiresAtMs)).toBe(true);
    expect(isExpiredBy(at(99, 99, 5000), expiresAtMs)).toBe(false);
    expect(isExpiredBy(at(5, 5000), expiresAtMs)).toBe(false);
    expect(isExpiredBy(at(5000, 5000), null)).toBe(false);
  });

  it('is the one in the middle, the earlier of two', () => {
    expect(middleClockMs(at(900, 1, 50))).toBe(50);
    expect(middleClockMs(at(900, 50))).toBe(50);
  });
});
