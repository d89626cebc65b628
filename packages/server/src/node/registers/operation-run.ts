import type { Member, Members, Question, Reply } from '@meridian/core/coordination/paxos/messages';
import type { Attempt, Done, Operation, Outgoing, Proposer, Step } from '@meridian/core/coordination/paxos/operation';
import {
  again,
  hurry,
  onFailure,
  onReply,
  outcomeIfStopped,
  startRead,
} from '@meridian/core/coordination/paxos/proposer';
import { type Answered, agreedRead } from '@meridian/core/coordination/paxos/reading';
import type { StoreName } from '@meridian/core/ids';
import { MeridianError } from '@meridian/core/wire/errors';
import type { CancelTimer, Clock } from '../../ports/clock.ts';
import type { Random } from '../../ports/random.ts';
import type { PlantedBugs } from '../planted-bugs.ts';
import type { Hop } from '../service.ts';

export interface Live {
  readonly reached: number;
  readonly required: number;
  readonly missingRegions: readonly string[];
}

/** What the run of an operation needs of its node. */
export interface RunSetting {
  readonly clock: Clock;
  readonly random: Random;
  readonly self: StoreName;
  readonly bugs: PlantedBugs;
  /** Sends one question to one replica. `onReply` is called once, later: with nothing where no answer came, or will. */
  ask(to: Member, question: Question, timeoutMs: number, onReply: (reply: Reply | undefined) => void): void;
  /** A fresh round and the members as they are known now. */
  attempt(aboveRound: number): Attempt;
  /** How long an answer may take before the replica counts as failed in this round. */
  patienceMs(): number;
  /** As many of these as are needed, nearest first, where the others are near too; else all. */
  enoughOf(members: Members): Members;
  /** The round trip to the farthest replica. */
  farthestMs(): number;
  /** How many replicas are live, of how many that are needed. */
  live(): Live;
  hopOf(name: StoreName, round: number, atMs: number, ms: number): Hop | undefined;
}

export interface RunOutcome {
  readonly done: Done;
  readonly hops: readonly Hop[];
  readonly asked: number;
  readonly answered: number;
}

/** A read that needs no more than to look at the first replies: what they are, and what it goes on with where they do not do. */
interface Look {
  readonly proposer: Proposer;
  readonly attempt: Attempt;
  readonly answers: Answered[];
}

/** So long after the others, and two round trips, those are asked that were left out, where no answer has decided it. */
const SPARE_MS = 10;
/** A majority has answered, but not alike: so long others may take before it is made to agree. */
const HURRY_MS = 5;
/** Proposers that met on one register try again after a random time up to this and two round trips, doubled each time. */
const BACKOFF_MS = 4;
const BACKOFF_MS_MAX = 400;
/**
 * How far above a round that was heard of the next one is taken, doubled with each retry. One above would do only if nothing
 * happened meanwhile: a proposer that writes without a pause has long gone on by the time a distant one's word arrives.
 */
export const ROUNDS_AHEAD = 8;
const RETRIES_AHEAD_MAX = 10;

/**
 * One read or change of a register from its first message to its outcome: sends what the core's steps say, hands in what
 * comes back, waits, tries again. Settles by its deadline.
 */
export class OperationRun {
  readonly #setting: RunSetting;
  readonly #startedAtMs: number;
  readonly #deadlineMs: number;
  readonly #isRead: boolean;
  readonly #hops: Hop[] = [];
  readonly #answered: StoreName[] = [];
  readonly #asked: StoreName[] = [];
  /** The acceptance that this store was asked for last and has not answered yet. */
  #own: Question | undefined;
  /** Whether this store has not taken what it was asked last to accept, for all that is known. */
  #isMissingHere = false;
  /** Once the outcome is known: called when this store has answered that. */
  #onOwn: () => void = () => {};
  /** Of a read, while it has none yet. */
  #look: Look | undefined;
  #operation: Operation | undefined;
  /** Replicas that are asked only where the others do not do. */
  #spare: Outgoing | undefined;
  #retries = 0;
  #isOver = false;
  #cancelDeadline: CancelTimer = () => {};
  #cancelTimer: CancelTimer = () => {};
  #resolve: (outcome: RunOutcome) => void = () => {};
  #reject: (error: Error) => void = () => {};

  constructor(setting: RunSetting, isRead: boolean, timeoutMs: number) {
    this.#setting = setting;
    this.#startedAtMs = setting.clock.monotonicMs();
    this.#deadlineMs = this.#startedAtMs + timeoutMs;
    this.#isRead = isRead;
  }

  /** @throws QUORUM_UNAVAILABLE */
  static read(setting: RunSetting, proposer: Proposer, timeoutMs: number): Promise<RunOutcome> {
    return new OperationRun(setting, true, timeoutMs).#read(proposer, setting.attempt(0));
  }

  /** @throws QUORUM_UNAVAILABLE where nothing can have happened, OUTCOME_UNKNOWN where it may have */
  static run(setting: RunSetting, first: Step, timeoutMs: number): Promise<RunOutcome> {
    return new OperationRun(setting, first.operation.change === undefined, timeoutMs).#run(first);
  }

  #read(proposer: Proposer, attempt: Attempt): Promise<RunOutcome> {
    const { members } = attempt;
    if (members.length < proposer.required) return this.#run(startRead(proposer, attempt));
    return new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
      this.#look = { proposer, attempt, answers: [] };
      this.#watchDeadline();
      this.#send({ to: members, message: { kind: 'query', members } });
    });
  }

  #run(first: Step): Promise<RunOutcome> {
    return new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
      this.#watchDeadline();
      this.#take(first);
    });
  }

  #watchDeadline(): void {
    this.#cancelDeadline = this.#setting.clock.timer(Math.max(0, this.#leftMs()), () => this.#giveUp());
  }

  /** The operation under way; of a read that has only looked so far, one that has the same behind it. */
  #underWay(): Operation {
    if (this.#look) {
      const { proposer, attempt, answers } = this.#look;
      this.#look = undefined;
      this.#operation = startRead(proposer, attempt).operation;
      for (const { member, reply } of answers) this.#take(onReply(this.#operation, member.id, reply));
    }
    return this.#operation as Operation;
  }

  #leftMs(): number {
    return this.#deadlineMs - this.#setting.clock.monotonicMs();
  }

  #take(step: Step): void {
    if (this.#isOver) return;
    this.#operation = step.operation;
    if (step.kind === 'done') this.#finish(step);
    else if (step.kind === 'retry') this.#retry(step.aboveRound, step.reason === 'failed');
    else {
      if (step.send) this.#send(step.send);
      if (step.canHurry) {
        this.#askSpare();
        this.#after(HURRY_MS, () => this.#take(hurry(this.#underWay())));
      }
    }
  }

  /**
   * A question that promises and changes nothing goes to no more replicas than are needed, where the others are near: to ask
   * them later, should they be needed after all, costs little there, and to ask them always is work for everybody.
   */
  #send({ to, message }: Outgoing): void {
    this.#cancelTimer();
    this.#spare = undefined;
    const first = message.kind === 'query' ? this.#setting.enoughOf(to) : to;
    this.#ask(first, message);
    if (first.length === to.length) return;
    this.#spare = { to: to.filter((member) => !first.includes(member)), message };
    this.#after(SPARE_MS + 2 * this.#setting.farthestMs(), () => this.#askSpare());
  }

  #askSpare(): void {
    const spare = this.#spare;
    this.#spare = undefined;
    if (spare && !this.#isOver) this.#ask(spare.to, spare.message);
  }

  #ask(to: Members, message: Question): void {
    const { clock } = this.#setting;
    const timeoutMs = Math.min(this.#leftMs(), this.#setting.patienceMs());
    const sentAtMs = clock.monotonicMs();
    const rounds = this.#operation?.rounds ?? 1;
    for (const member of to) {
      if (!this.#asked.includes(member.name)) this.#asked.push(member.name);
      if (member.name === this.#setting.self && message.kind === 'accept') this.#own = message;
      this.#setting.ask(member, message, timeoutMs, (reply) => {
        if (this.#own === message && member.name === this.#setting.self) this.#ownAnswered(reply);
        if (this.#isOver) return;
        if (reply) this.#onReply(member, reply, rounds, sentAtMs);
        else {
          this.#askSpare();
          this.#take(onFailure(this.#underWay(), member.name));
        }
      });
    }
  }

  #onReply(member: Member, reply: Reply, rounds: number, sentAtMs: number): void {
    const ms = this.#setting.clock.monotonicMs() - sentAtMs;
    const hop = this.#setting.hopOf(member.name, rounds, sentAtMs - this.#startedAtMs, ms);
    if (hop) this.#hops.push(hop);
    if (!this.#answered.includes(member.name)) this.#answered.push(member.name);
    if (this.#look) {
      this.#lookAt(this.#look, { member, reply });
      return;
    }
    this.#take(onReply(this.#underWay(), member.id, reply));
    if (this.#setting.bugs.has('store-counted-twice')) this.#take(onReply(this.#underWay(), member.id, reply));
  }

  #lookAt({ answers, proposer }: Look, answer: Answered): void {
    answers.push(answer);
    if (this.#setting.bugs.has('store-counted-twice')) answers.push(answer);
    if (answers.length < proposer.required) return;
    const done = agreedRead(answers, proposer.required, proposer.flaws);
    if (done) this.#finish(done);
    else this.#underWay();
  }

  #ownAnswered(reply: Reply | undefined): void {
    this.#own = undefined;
    this.#isMissingHere = reply?.kind !== 'accepted';
    this.#onOwn();
  }

  /** Where too few replicas are there it is no use to go on: the answer is the sooner the better. */
  #retry(aboveRound: number, isFailure: boolean): void {
    const { reached, required } = this.#setting.live();
    if (isFailure && reached < required) {
      this.#giveUp();
      return;
    }
    this.#retries += 1;
    this.#spare = undefined;
    const bound = this.#backoffBoundMs();
    const ahead = ROUNDS_AHEAD * 2 ** Math.min(this.#retries, RETRIES_AHEAD_MAX);
    this.#after((this.#setting.random.uint32() / 2 ** 32) * bound, () =>
      this.#take(again(this.#underWay(), this.#setting.attempt(aboveRound + ahead))),
    );
  }

  /**
   * Who was refused stands back for about as long as the other needs for its two rounds, however far away it is: else the
   * proposer with the shorter way to a majority would be back before a distant one is done, each time. A read that only asks
   * again is in nobody's way.
   */
  #backoffBoundMs(): number {
    const asksOnly = this.#isRead && this.#retries < 2;
    const unitMs = BACKOFF_MS + (asksOnly ? 0 : 2 * this.#setting.farthestMs());
    return Math.min(unitMs * 2 ** (this.#retries - 1), Math.max(BACKOFF_MS_MAX, 2 * unitMs));
  }

  #after(delayMs: number, next: () => void): void {
    this.#cancelTimer();
    this.#cancelTimer = this.#setting.clock.timer(delayMs, () => {
      if (!this.#isOver) next();
    });
  }

  /**
   * What this node has proposed is its stream's to bring to those who missed it, and for that its own store must have it. So
   * nobody is told before that has answered too. Where it could not take it, nobody is told at all: left unsettled on the
   * disks of the others it is proposed anew by one of them, whose stream brings it here, whatever becomes of this node.
   */
  #finish(done: Done): void {
    this.#end();
    if (done.result.kind === 'unknown') {
      this.#reject(this.#failure(true));
      return;
    }
    if (!this.#own) {
      this.#tell(done);
      return;
    }
    this.#onOwn = () => this.#tell(done);
    this.#cancelDeadline = this.#setting.clock.timer(Math.max(0, this.#leftMs()), this.#onOwn);
  }

  #tell(done: Done): void {
    this.#cancelDeadline();
    const isTold = !this.#isMissingHere && this.#own === undefined;
    const told = isTold || done.chosen === null ? done : { ...done, chosen: null };
    this.#resolve({ done: told, hops: this.#hops, asked: this.#asked.length, answered: this.#answered.length });
  }

  #giveUp(): void {
    this.#end();
    this.#reject(this.#failure(!this.#isRead && outcomeIfStopped(this.#underWay()) === 'unknown'));
  }

  #end(): void {
    this.#isOver = true;
    this.#cancelDeadline();
    this.#cancelTimer();
  }

  #failure(isDoubtful: boolean): MeridianError {
    const { reached, required, missingRegions } = this.#setting.live();
    const figures = { required, reached: Math.min(reached, this.#answered.length), missingRegions };
    const named = missingRegions.length > 0 ? `, missing ${missingRegions.join(', ')}` : '';
    if (isDoubtful && !this.#setting.bugs.has('doubt-told-as-failure')) {
      const detail = `required ${required}, the replicas that answered did not decide it${named}; the change may have taken effect, or may yet`;
      return new MeridianError('OUTCOME_UNKNOWN', detail, figures);
    }
    const what = this.#isRead ? 'nothing was read' : 'nothing was written';
    const detail = `required ${required}, reached ${figures.reached}${named}; ${what}`;
    return new MeridianError('QUORUM_UNAVAILABLE', detail, figures);
  }
}
