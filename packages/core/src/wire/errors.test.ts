import { describe, expect, it } from 'vitest';
import { ERRORS, isErrorCode, MeridianError } from './errors.ts';

describe('the table of errors', () => {
  it('has a status for errors and a title for each', () => {
    for (const [code, { status, title }] of Object.entries(ERRORS)) {
      expect(code).toMatch(/^[A-Z_]+$/);
      expect(status >= 400 && status < 600, code).toBe(true);
      expect(title, code).toMatch(/^[A-Z].*[^.]$/);
    }
  });

  it('advises to look before a retry wherever a write may have taken effect', () => {
    expect(ERRORS.OUTCOME_UNKNOWN).toMatchObject({ status: 504, retry: 'check' });
  });

  it('knows its own codes from what a peer made up, and from what every object has', () => {
    expect(isErrorCode('STORE_FULL')).toBe(true);
    for (const text of ['', 'store_full', 'toString', '__proto__', 'constructor'])
      expect(isErrorCode(text)).toBe(false);
  });

  it('gives an error its status and figures', () => {
    const error = new MeridianError('QUORUM_UNAVAILABLE', 'two of three are away', { required: 2, reached: 1 });
    expect(error).toMatchObject({
      status: 503,
      code: 'QUORUM_UNAVAILABLE',
      message: 'two of three are away',
      figures: { required: 2, reached: 1 },
    });
    expect(new MeridianError('INTERNAL', 'x').figures).toEqual({});
  });
});
