import { type Ballot, compareBallots } from '../coordination/paxos/ballot.ts';
import type { Proposal, RegisterState, RegisterValue } from '../coordination/paxos/register.ts';
import { ByteReader, ByteWriter, MalformedBytes } from './bytes.ts';
import { readBallot, writeBallot } from './register-ballot-codec.ts';
import { EncodedValue, readEncodedValue, readValue, writeValue } from './register-value-codec.ts';

/**
 * The bytes of a register's state, at rest and between nodes. Canonical:
 * equal states have equal bytes. The first byte tells a state from a record (record-codec.ts begins with 1).
 *
 * History: 2, the first.
 */
const REGISTER_FORMAT = 2;

/** What follows the promised ballot. */
const NOTHING_ACCEPTED = 0;
const ACCEPTED = 1;
const ACCEPTED_AND_COMMITTED = 2;
const ACCEPTED_ABOVE_COMMITTED = 3;
const HEARSAY = 4;
const HEARSAY_ABOVE_COMMITTED = 5;

const writer = new ByteWriter();

/** Whether these bytes of a store's row are a register's state, and not a record. */
export function isRegisterBytes(bytes: Uint8Array): boolean {
  return bytes[0] === REGISTER_FORMAT;
}

/** @throws RangeError where the state is one that `decodeRegister` would refuse: it must not lie on a disk, unreadable. */
export function encodeRegister(state: RegisterState): Uint8Array {
  const { promised, accepted, committed } = state;
  if (committed && (!accepted || compareBallots(committed.ballot, accepted.ballot) > 0))
    writer.refuse('a register committed above what it has accepted');
  if (accepted && compareBallots(accepted.ballot, promised) > 0)
    writer.refuse('a register that accepted above its promise');
  const kind = kindOf(state);
  writer.uint8(REGISTER_FORMAT);
  writer.uint8(kind);
  writeBallot(writer, promised, '');
  if (!accepted) return writer.take();
  writeProposal(accepted, promised.proposer);
  if (committed && kind !== ACCEPTED_AND_COMMITTED) writeProposal(committed, accepted.ballot.proposer);
  return writer.take();
}

function kindOf({ accepted, committed, isHearsay }: RegisterState): number {
  if (accepted && !committed) return isHearsay ? HEARSAY : ACCEPTED;
  if (accepted && committed && compareBallots(committed.ballot, accepted.ballot) < 0)
    return isHearsay ? HEARSAY_ABOVE_COMMITTED : ACCEPTED_ABOVE_COMMITTED;
  if (isHearsay) writer.refuse('hearsay of nothing, or of what is chosen');
  return accepted ? ACCEPTED_AND_COMMITTED : NOTHING_ACCEPTED;
}

function writeProposal({ ballot, value }: Proposal, proposerBefore: string): void {
  if (ballot.round === 0) writer.refuse('a proposal without a ballot');
  writeBallot(writer, ballot, proposerBefore);
  writeValue(writer, value);
}

/** A value alone. @throws RangeError where `decodeRegisterValue` would refuse it */
export function encodeRegisterValue(value: RegisterValue | null): Uint8Array {
  if (value instanceof EncodedValue) return value.bytes;
  writeValue(writer, value);
  return writer.take();
}

/** The value with its bytes, so that it is encoded once, wherever it goes. @throws RangeError as above */
export function withBytes(value: RegisterValue): EncodedValue {
  return value instanceof EncodedValue ? value : new EncodedValue(encodeRegisterValue(value), value);
}

/**
 * Reads and checks a state. Its values are decoded when they are first looked into; they are views on `bytes`, not copies.
 * @throws MalformedBytes where `bytes` are not what `encodeRegister` writes.
 */
export function decodeRegister(bytes: Uint8Array): RegisterState {
  const reader = new ByteReader(bytes);
  if (reader.uint8() !== REGISTER_FORMAT) throw new MalformedBytes('a register of an unknown format');
  const kind = reader.uint8();
  if (kind > HEARSAY_ABOVE_COMMITTED) throw new MalformedBytes('a register of an unknown kind');
  const promised = readBallot(reader, '');
  if (kind === NOTHING_ACCEPTED)
    return atEnd(reader, { promised, accepted: undefined, committed: undefined, isHearsay: false });
  const accepted = readProposal(reader, promised);
  if (compareBallots(accepted.ballot, promised) > 0)
    throw new MalformedBytes('a register that accepted above its promise');
  const isHearsay = kind === HEARSAY || kind === HEARSAY_ABOVE_COMMITTED;
  if (kind === ACCEPTED || kind === HEARSAY)
    return atEnd(reader, { promised, accepted, committed: undefined, isHearsay });
  if (kind === ACCEPTED_AND_COMMITTED) return atEnd(reader, { promised, accepted, committed: accepted, isHearsay });
  const committed = readProposal(reader, accepted.ballot);
  if (compareBallots(committed.ballot, accepted.ballot) >= 0)
    throw new MalformedBytes('a register committed above what it has accepted');
  return atEnd(reader, { promised, accepted, committed, isHearsay });
}

/** A value alone. @throws MalformedBytes where `bytes` are not what `encodeRegisterValue` writes */
export function decodeRegisterValue(bytes: Uint8Array): RegisterValue | null {
  const reader = new ByteReader(bytes);
  return atEnd(reader, readValue(reader));
}

/** Likewise, decoded when it is first looked into. @throws MalformedBytes */
export function decodeEncodedValue(bytes: Uint8Array): EncodedValue | null {
  const reader = new ByteReader(bytes);
  return atEnd(reader, readEncodedValue(reader));
}

function atEnd<Read>(reader: ByteReader, read: Read): Read {
  if (!reader.isAtEnd) throw new MalformedBytes('bytes after the end of a register');
  return read;
}

function readProposal(reader: ByteReader, before: Ballot): Proposal {
  const ballot = readBallot(reader, before.proposer);
  if (ballot.round === 0) throw new MalformedBytes('a proposal without a ballot');
  return { ballot, value: readEncodedValue(reader) };
}
