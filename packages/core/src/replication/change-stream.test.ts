import { describe, expect, it } from 'vitest';
import type { Sequence, StoreId } from '../ids.ts';
import {
  isWanted,
  joinsOn,
  positionAfter,
  START_POSITION,
  type StreamBatch,
  type StreamPosition,
} from './change-stream.ts';

const origin = 'eu-1.aa' as StoreId;
const other = 'us-1.bb' as StoreId;
const at = (sequence: number) => sequence as Sequence;
const batch = (from: number, upTo: number, isWhole = false): StreamBatch => ({
  from: at(from),
  upTo: at(upTo),
  isWhole,
});
const position = (cursor: number, applied: number): StreamPosition => ({
  cursor: at(cursor),
  applied: at(applied),
  isFilled: false,
});

describe('isWanted', () => {
  const vector = new Map([
    [origin, at(7)],
    [other, at(90)],
  ]);

  it("sends a row whose record has a dot of the origin's above the claim", () => {
    expect(isWanted(origin, vector, at(6), false)).toBe(true);
    expect(isWanted(origin, vector, at(7), false)).toBe(false);
  });

  it("leaves dots of other stores to those stores' own streams", () => {
    expect(isWanted(origin, new Map([[other, at(90)]]), at(0), false)).toBe(false);
  });

  it('sends a store that is being filled everything', () => {
    expect(isWanted(origin, new Map([[other, at(90)]]), at(0), true)).toBe(true);
    expect(isWanted(origin, vector, at(7), true)).toBe(true);
  });
});

describe('joinsOn', () => {
  it('takes the next batch, and any that begins below the cursor', () => {
    expect(joinsOn(position(5, 0), batch(5, 9))).toBe(true);
    expect(joinsOn(position(5, 0), batch(2, 9))).toBe(true);
    expect(joinsOn(position(5, 0), batch(0, 3))).toBe(true);
  });

  it('refuses one that leaves a gap', () => {
    expect(joinsOn(position(5, 0), batch(6, 9))).toBe(false);
    expect(joinsOn(START_POSITION, batch(1, 2, true))).toBe(false);
  });
});

describe('positionAfter', () => {
  it('moves the cursor alone in the middle of a view', () => {
    expect(positionAfter(position(5, 2), batch(5, 9))).toEqual({ cursor: 9, applied: 2, isFilled: false });
  });

  it('moves the claim to the end of a view that is whole', () => {
    expect(positionAfter(position(5, 2), batch(5, 9, true))).toEqual({ cursor: 9, applied: 9, isFilled: true });
  });

  it('is moved back by no old batch', () => {
    const later = { ...position(9, 9), isFilled: true };
    expect(positionAfter(later, batch(0, 4, true))).toEqual(later);
    expect(positionAfter(later, batch(0, 4))).toEqual(later);
  });
});
