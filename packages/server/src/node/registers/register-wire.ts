import type { Ballot } from '@meridian/core/coordination/paxos/ballot';
import type { Members, Question, Reply } from '@meridian/core/coordination/paxos/messages';
import type { Proposal } from '@meridian/core/coordination/paxos/register';
import {
  ACCEPT,
  ACCEPTED,
  HOLDING,
  PREPARE,
  QUERY,
  REFUSED,
  type RegisterResult,
  STALE_MEMBER,
  type WireBallot,
  type WireMembers,
  type WireQuestion,
} from '@meridian/core/wire/messages';
import { decodeRegisterValue, encodeRegisterValue } from '@meridian/core/wire/register-codec';

/** Questions and replies of registers, as they are in memory and as they travel. */

type WireReply = RegisterResult[1];

/** Members stay the same from question to question, as the very same array. */
const wireMembers = new WeakMap<Members, WireMembers>();

function membersToWire(members: Members): WireMembers {
  let wire = wireMembers.get(members);
  if (!wire) {
    wire = members.map(({ name, id }) => [name, id] as const);
    wireMembers.set(members, wire);
  }
  return wire;
}

export function toWire(question: Question): WireQuestion {
  const members = membersToWire(question.members);
  if (question.kind === 'query') return [QUERY, members];
  if (question.kind === 'prepare') return [PREPARE, wireBallot(question.ballot), members];
  const { ballot, value, next, chosen } = question;
  return [
    ACCEPT,
    wireBallot(ballot),
    encodeRegisterValue(value),
    next && wireBallot(next),
    members,
    chosen && wireBallot(chosen),
  ];
}

/** @throws MalformedBytes */
export function fromWire(question: WireQuestion): Question {
  if (question[0] === QUERY) return { kind: 'query', members: membersOf(question[1]) };
  if (question[0] === PREPARE)
    return { kind: 'prepare', ballot: ballotOf(question[1]), members: membersOf(question[2]) };
  const [, ballot, value, next, members, chosen] = question;
  return {
    kind: 'accept',
    ballot: ballotOf(ballot),
    value: decodeRegisterValue(value),
    next: next && ballotOf(next),
    members: membersOf(members),
    chosen: chosen && ballotOf(chosen),
  };
}

export function replyToWire(reply: Reply): WireReply {
  switch (reply.kind) {
    case 'held':
    case 'promised': {
      const promised = reply.kind === 'held' ? reply.promised : reply.ballot;
      const { accepted, isHearsay, committed, wallMs } = reply;
      return [
        HOLDING,
        accepted ? [wireBallot(accepted.ballot), encodeRegisterValue(accepted.value)] : null,
        isHearsay,
        committed && wireBallot(committed),
        wireBallot(promised),
        Math.max(0, Math.floor(wallMs)),
      ];
    }
    case 'accepted':
      return [ACCEPTED, wireBallot(reply.promised)];
    case 'refused':
      return [REFUSED, wireBallot(reply.promised)];
    case 'stale-member':
      return [STALE_MEMBER, reply.member.name, reply.member.id];
  }
}

/** The reply to this question. @throws MalformedBytes; TypeError where it answers a question of another kind */
export function replyFromWire(question: Question, reply: WireReply): Reply {
  if (reply[0] === STALE_MEMBER) return { kind: 'stale-member', member: { name: reply[1], id: reply[2] } };
  if (reply[0] === HOLDING && question.kind !== 'accept') {
    const [, accepted, isHearsay, committed, promised, wallMs] = reply;
    const holding = {
      accepted: accepted ? proposalOf(accepted) : undefined,
      isHearsay,
      committed: committed && ballotOf(committed),
      wallMs,
    };
    if (question.kind === 'query') return { kind: 'held', ...holding, promised: ballotOf(promised) };
    return { kind: 'promised', ...holding, ballot: ballotOf(promised) };
  }
  if (question.kind !== 'query') {
    const { ballot } = question;
    if (reply[0] === REFUSED) return { kind: 'refused', ballot, promised: ballotOf(reply[1]) };
    if (reply[0] === ACCEPTED && question.kind === 'accept')
      return { kind: 'accepted', ballot, promised: ballotOf(reply[1]) };
  }
  throw new TypeError('a reply to another question');
}

function wireBallot({ round, proposer }: Ballot): WireBallot {
  return [round, proposer];
}

function ballotOf([round, proposer]: WireBallot): Ballot {
  return { round, proposer };
}

function proposalOf([ballot, value]: readonly [WireBallot, Uint8Array]): Proposal {
  return { ballot: ballotOf(ballot), value: decodeRegisterValue(value) };
}

function membersOf(members: WireMembers): Members {
  return members.map(([name, id]) => ({ name, id }));
}
