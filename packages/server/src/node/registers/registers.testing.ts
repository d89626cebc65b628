import { EMPTY_VECTOR } from '@meridian/core/causality/version-vector';
import type { RegisterValue } from '@meridian/core/coordination/paxos/register';
import type { StoreId } from '@meridian/core/ids';

/** A value of a register, written by us-1. */
export function writtenValue(
  version: number,
  body: Uint8Array | null = Uint8Array.of(version),
  more: Partial<RegisterValue> = {},
): RegisterValue {
  return {
    version,
    writer: 'us-1.aaaa' as StoreId,
    timeMs: version * 10,
    body,
    contentType: body ? 'text/plain' : '',
    expiresAtMs: null,
    session: EMPTY_VECTOR,
    requests: [],
    ...more,
  };
}
