import type { VersionedRecord } from '../causality/record.ts';
import { registerRecord } from '../coordination/paxos/register.ts';
import { decodeRecord } from './record-codec.ts';
import { decodeRegister, isRegisterBytes } from './register-codec.ts';

/**
 * What a row of a store shows to readers: the record, or of a register the value last known there to be chosen; nothing
 * where none is known yet. @throws MalformedBytes
 */
export function decodeStored(bytes: Uint8Array): VersionedRecord | undefined {
  return isRegisterBytes(bytes) ? registerRecord(decodeRegister(bytes).committed) : decodeRecord(bytes);
}
