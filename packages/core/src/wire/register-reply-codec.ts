import { type Ballot, sameBallot, ZERO_BALLOT } from '../coordination/paxos/ballot.ts';
import type { Holding, Question, Reply } from '../coordination/paxos/messages.ts';
import type { StoreId, StoreName } from '../ids.ts';
import { ByteReader, ByteWriter, MalformedBytes } from './bytes.ts';
import { readBallot, writeBallot } from './register-ballot-codec.ts';
import { readEncodedValue, writeValue } from './register-value-codec.ts';

/**
 * The replies of one replica to questions that came together (register-question-codec.ts), in their order, as bytes. What a
 * reply shares with its question, or with the reply before, is left out.
 */

const HOLDING = 0;
const ACCEPTED = 1;
/** What is promised along with it is the next ballot asked for, or, without one, the ballot itself. */
const ACCEPTED_AS_ASKED = 2;
const REFUSED = 3;
const STALE_MEMBER = 4;
const NO_REPLY = 5;
const KIND_MASK = 7;
/** Of a holding. */
const HAS_ACCEPTED = 8;
const IS_HEARSAY = 16;
const HAS_COMMITTED = 32;
/** What is committed is the ballot accepted. */
const SAME_COMMITTED = 64;
const SAME_CLOCK = 128;

const writer = new ByteWriter();

/** Nothing stands for a question that could not be answered. @throws RangeError where `decodeReplies` would refuse it */
export function encodeReplies(questions: readonly Question[], replies: readonly (Reply | undefined)[]): Uint8Array {
  let proposer = '';
  let wallMs = -1;
  const ballot = (of: Ballot): void => {
    writeBallot(writer, of, proposer);
    if (of.round > 0) proposer = of.proposer;
  };
  const holding = ({ accepted, isHearsay, committed, wallMs: clockMs }: Holding, promised: Ballot): void => {
    const clock = Math.max(0, Math.floor(clockMs));
    const isSame = committed !== null && sameBallot(accepted?.ballot, committed);
    writer.uint8(
      HOLDING |
        (accepted ? HAS_ACCEPTED : 0) |
        (isHearsay ? IS_HEARSAY : 0) |
        (committed === null ? 0 : isSame ? SAME_COMMITTED : HAS_COMMITTED) |
        (clock === wallMs ? SAME_CLOCK : 0),
    );
    if (clock !== wallMs) writer.varint(clock);
    wallMs = clock;
    ballot(promised);
    if (accepted) ballot(accepted.ballot);
    if (committed && !isSame) ballot(committed);
    if (accepted) writeValue(writer, accepted.value);
  };
  questions.forEach((question, at) => {
    const reply = replies[at];
    if (reply?.kind === 'held') holding(reply, reply.promised);
    else if (reply?.kind === 'promised') holding(reply, reply.ballot);
    else if (reply === undefined) writer.uint8(NO_REPLY);
    else if (reply.kind === 'stale-member') {
      writer.uint8(STALE_MEMBER);
      writer.shortText(reply.member.name);
      writer.shortText(reply.member.id);
    } else {
      const isAsAsked = reply.kind === 'accepted' && sameBallot(askedFor(question), reply.promised);
      writer.uint8(reply.kind === 'refused' ? REFUSED : isAsAsked ? ACCEPTED_AS_ASKED : ACCEPTED);
      if (!isAsAsked) ballot(reply.promised);
    }
  });
  return writer.take();
}

/** The replies to these questions. @throws MalformedBytes, also where one answers a question of another kind */
export function decodeReplies(bytes: Uint8Array, questions: readonly Question[]): readonly (Reply | undefined)[] {
  const reader = new ReplyReader(bytes);
  const replies = questions.map((question) => reader.reply(question));
  reader.end();
  return replies;
}

/** The ballot promised by an acceptor that takes an accept as it is. */
function askedFor(question: Question): Ballot | null {
  return question.kind === 'accept' ? (question.next ?? question.ballot) : null;
}

class ReplyReader {
  readonly #reader: ByteReader;
  #last: Ballot = ZERO_BALLOT;
  #wallMs = -1;

  constructor(bytes: Uint8Array) {
    this.#reader = new ByteReader(bytes);
  }

  end(): void {
    if (!this.#reader.isAtEnd) throw new MalformedBytes('bytes after the last reply');
  }

  reply(question: Question): Reply | undefined {
    const flags = this.#reader.uint8();
    const kind = flags & KIND_MASK;
    if (kind !== HOLDING && flags !== kind) throw new MalformedBytes('a reply of an unknown kind');
    if (kind === NO_REPLY) return undefined;
    if (kind === STALE_MEMBER) {
      const name = this.#reader.shortText() as StoreName;
      return { kind: 'stale-member', member: { name, id: this.#reader.shortText() as StoreId } };
    }
    if (kind === HOLDING && question.kind !== 'accept') return this.#holding(flags, question);
    if (kind === REFUSED && question.kind !== 'query')
      return { kind: 'refused', ballot: question.ballot, promised: this.#ballot() };
    if (kind === ACCEPTED_AS_ASKED && question.kind === 'accept')
      return { kind: 'accepted', ballot: question.ballot, promised: question.next ?? question.ballot };
    if (kind === ACCEPTED && question.kind === 'accept')
      return { kind: 'accepted', ballot: question.ballot, promised: this.#ballot() };
    throw new MalformedBytes('a reply to another question, or of an unknown kind');
  }

  #holding(flags: number, { kind }: Question): Reply {
    const isSame = (flags & SAME_COMMITTED) !== 0;
    if (isSame && (!(flags & HAS_ACCEPTED) || flags & HAS_COMMITTED))
      throw new MalformedBytes('a reply that commits what it has not accepted, or twice');
    if (!(flags & SAME_CLOCK)) this.#wallMs = this.#reader.varint();
    if (this.#wallMs < 0) throw new MalformedBytes('a reply without a clock');
    const wallMs = this.#wallMs;
    const isHearsay = (flags & IS_HEARSAY) !== 0;
    const promised = this.#ballot();
    const ballot = flags & HAS_ACCEPTED ? this.#ballot() : undefined;
    const committed = isSame && ballot ? ballot : flags & HAS_COMMITTED ? this.#ballot() : null;
    const accepted = ballot && { ballot, value: readEncodedValue(this.#reader) };
    if (kind === 'query') return { kind: 'held', accepted, isHearsay, promised, committed, wallMs };
    return { kind: 'promised', ballot: promised, accepted, isHearsay, committed, wallMs };
  }

  #ballot(): Ballot {
    const ballot = readBallot(this.#reader, this.#last.proposer);
    if (ballot.round > 0) this.#last = ballot;
    return ballot;
  }
}
