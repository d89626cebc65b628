import { type Ballot, type ProposerId, ROUND_MAX, ZERO_BALLOT } from '../coordination/paxos/ballot.ts';
import { type ByteReader, type ByteWriter, MalformedBytes } from './bytes.ts';

/** The bytes of a ballot. The proposer is left out where it is the one named before. @throws RangeError where it is none */
export function writeBallot(writer: ByteWriter, { round, proposer }: Ballot, before: string): void {
  if (round > ROUND_MAX || (round === 0) !== (proposer === '')) writer.refuse('a ballot out of range');
  writer.varint(round);
  if (round > 0) writer.shortText(proposer === before ? '' : proposer);
}

/** @throws MalformedBytes */
export function readBallot(reader: ByteReader, before: string): Ballot {
  const round = reader.varint();
  if (round > ROUND_MAX) throw new MalformedBytes('a ballot out of range');
  if (round === 0) return ZERO_BALLOT;
  const text = reader.shortText();
  if (text === before) throw new MalformedBytes('a ballot without a proposer, or that spells out the one before');
  return { round, proposer: (text === '' ? before : text) as ProposerId };
}
