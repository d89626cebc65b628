import { type Ballot, ZERO_BALLOT } from '../coordination/paxos/ballot.ts';
import type { Member, Members, Question } from '../coordination/paxos/messages.ts';
import type { StoreId, StoreName } from '../ids.ts';
import { ByteReader, ByteWriter, MalformedBytes } from './bytes.ts';
import { readBallot, writeBallot } from './register-ballot-codec.ts';
import { readEncodedValue, writeValue } from './register-value-codec.ts';

/**
 * The questions that a proposer asks of one replica at once, about as many registers, as bytes. Every question names all
 * replicas by their ids; where they are those of the question before, a bit says so, and likewise of proposers.
 */

const PREPARE = 0;
const ACCEPT = 1;
const QUERY = 2;
const KIND_MASK = 3;
const SAME_MEMBERS = 4;
const HAS_NEXT = 8;
const HAS_CHOSEN = 16;
const FLAGS = KIND_MASK | SAME_MEMBERS | HAS_NEXT | HAS_CHOSEN;

/** More replicas than a key will ever have. */
const MEMBERS_MAX = 256;

const KINDS = { prepare: PREPARE, accept: ACCEPT, query: QUERY } as const;
const NO_MEMBERS: Members = [];

const writer = new ByteWriter();

/** @throws RangeError where `decodeQuestions` would refuse it */
export function encodeQuestions(questions: readonly Question[]): Uint8Array {
  let members = NO_MEMBERS;
  let proposer = '';
  for (const question of questions) {
    const isAccept = question.kind === 'accept';
    const isSame = question.members === members;
    writer.uint8(
      KINDS[question.kind] |
        (isSame ? SAME_MEMBERS : 0) |
        (isAccept && question.next ? HAS_NEXT : 0) |
        (isAccept && question.chosen ? HAS_CHOSEN : 0),
    );
    if (!isSame) {
      members = question.members;
      writeMembers(members);
    }
    if (question.kind === 'query') continue;
    writeBallot(writer, question.ballot, proposer);
    proposer = question.ballot.proposer;
    if (!isAccept) continue;
    if (question.next) {
      writeBallot(writer, question.next, proposer);
      proposer = question.next.proposer;
    }
    if (question.chosen) {
      writeBallot(writer, question.chosen, proposer);
      proposer = question.chosen.proposer;
    }
    writeValue(writer, question.value);
  }
  return writer.take();
}

function writeMembers(members: Members): void {
  if (members.length > MEMBERS_MAX) writer.refuse('too many replicas');
  writer.varint(members.length);
  for (const { name, id } of members) {
    writer.shortText(name);
    writer.shortText(id);
  }
}

/** Members that were the same array are so again. Values are views on `bytes`. @throws MalformedBytes */
export function decodeQuestions(bytes: Uint8Array, count: number): readonly Question[] {
  const reader = new ByteReader(bytes);
  const questions: Question[] = [];
  let members = NO_MEMBERS;
  let last: Ballot = ZERO_BALLOT;
  for (let left = count; left > 0; left--) {
    const flags = reader.uint8();
    const kind = flags & KIND_MASK;
    if (flags > FLAGS || kind > QUERY || (kind !== ACCEPT && flags & (HAS_NEXT | HAS_CHOSEN)))
      throw new MalformedBytes('a question of an unknown kind');
    if (!(flags & SAME_MEMBERS)) members = readMembers(reader);
    if (kind === QUERY) {
      questions.push({ kind: 'query', members });
      continue;
    }
    const ballot = readUsed(reader, last);
    last = ballot;
    if (kind === PREPARE) {
      questions.push({ kind: 'prepare', ballot, members });
      continue;
    }
    const next = flags & HAS_NEXT ? readUsed(reader, last) : null;
    last = next ?? last;
    const chosen = flags & HAS_CHOSEN ? readUsed(reader, last) : null;
    last = chosen ?? last;
    questions.push({ kind: 'accept', ballot, value: readEncodedValue(reader), next, members, chosen });
  }
  if (!reader.isAtEnd) throw new MalformedBytes('bytes after the last question');
  return questions;
}

function readUsed(reader: ByteReader, before: Ballot): Ballot {
  const ballot = readBallot(reader, before.proposer);
  if (ballot.round === 0) throw new MalformedBytes('a question without a ballot');
  return ballot;
}

function readMembers(reader: ByteReader): Members {
  const count = reader.count();
  if (count > MEMBERS_MAX) throw new MalformedBytes('too many replicas');
  const members: Member[] = [];
  for (let left = count; left > 0; left--)
    members.push({ name: reader.shortText() as StoreName, id: reader.shortText() as StoreId });
  return members;
}
