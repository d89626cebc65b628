import type { Question } from '@meridian/core/coordination/paxos/messages';
import { ANSWER, type Call, CHANGES, CHOSEN, type Message, REGISTER, REQUEST } from '@meridian/core/wire/messages';
import { decodeQuestions } from '@meridian/core/wire/register-question-codec';

export function isPrepare(message: Message): boolean {
  return message[0] === REQUEST && asks(message[4], 'prepare');
}

export function isAccept(message: Message): boolean {
  return message[0] === REQUEST && asks(message[4], 'accept');
}

/** Whether a call puts a question of this kind about any register. */
export function asks(call: Call, kind: Question['kind']): boolean {
  return call[0] === REGISTER && decodeQuestions(call[2], call[1].length).some((question) => question.kind === kind);
}

export function isAnswer(message: Message): boolean {
  return message[0] === ANSWER;
}

/** By which a replica learns what was chosen without asking. */
export function isNews(message: Message): boolean {
  return message[0] === CHOSEN || message[0] === CHANGES;
}
