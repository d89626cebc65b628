import type { NodeName } from '@meridian/core/ids';
import { type Figures, isErrorCode, MeridianError } from '@meridian/core/wire/errors';
import {
  ANSWER,
  type Answer,
  type Call,
  CHANGE,
  type Failure,
  REQUEST,
  type Request,
  WRITE,
} from '@meridian/core/wire/messages';
import { ensure, type Shape } from '@meridian/core/wire/shape';
import type { CancelTimer, Clock } from '../ports/clock.ts';
import type { Transport } from '../ports/transport.ts';
import { CALLS_PENDING_MAX } from './limits.ts';
import { NO_BUGS, type PlantedBugs } from './planted-bugs.ts';

/** Why a call has no result. `wasSent` is false only when the peer can never have seen it. */
export class CallFailed extends Error {
  override readonly name = 'CallFailed';
  readonly wasSent: boolean;

  constructor(reason: string, wasSent: boolean) {
    super(reason);
    this.wasSent = wasSent;
  }
}

interface Pending {
  readonly to: NodeName;
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: Error) => void;
  readonly cancelTimer: CancelTimer;
}

/** Calls of one peer that must not be carried out twice and are remembered: more than can be on their way at once. */
const REMEMBERED_MAX = 2 * CALLS_PENDING_MAX;

export type CallHandler = (from: NodeName, requestId: string, timeoutMs: number, call: Call) => Promise<unknown>;

/** Calls to other nodes and their answers. Every call settles: with a result, a failure the peer names, or `CallFailed`. */
export class Calls {
  readonly #transport: Transport;
  readonly #clock: Clock;
  readonly #handler: CallHandler;
  readonly #bugs: PlantedBugs;
  readonly #pending = new Map<number, Pending>();
  /** How many of them wait for each peer: one that answers nothing must not take the room of the others. */
  readonly #pendingOf = new Map<NodeName, number>();
  /** By peer: the ids of calls that change something each time they are carried out. */
  readonly #carriedOut = new Map<NodeName, Set<number>>();
  #lastId: number;

  /** `firstId` is random, so that answers to a former life of this process find nobody. */
  constructor(transport: Transport, clock: Clock, firstId: number, handler: CallHandler, bugs: PlantedBugs = NO_BUGS) {
    this.#transport = transport;
    this.#clock = clock;
    this.#lastId = firstId;
    this.#handler = handler;
    this.#bugs = bugs;
  }

  get pendingCount(): number {
    return this.#pending.size;
  }

  /** @throws CallFailed where no answer came; MeridianError where the peer answered with one. */
  async call<Result>(
    to: NodeName,
    requestId: string,
    timeoutMs: number,
    call: Call,
    result: Shape<Result>,
  ): Promise<Result> {
    const waiting = this.#pendingOf.get(to) ?? 0;
    if (waiting >= CALLS_PENDING_MAX) throw new CallFailed(`too many calls wait for ${to}`, false);
    this.#pendingOf.set(to, waiting + 1);
    const id = ++this.#lastId;
    const answered = new Promise<unknown>((resolve, reject) => {
      const cancelTimer = this.#clock.timer(timeoutMs, () => this.#fail(id, `no answer within ${timeoutMs} ms`));
      this.#pending.set(id, { to, resolve, reject, cancelTimer });
    });
    if (!this.#transport.send(to, [REQUEST, id, requestId, Math.max(0, Math.floor(timeoutMs)), call])) {
      this.#settle(id)?.reject(new CallFailed(`${to} is not connected`, false));
    }
    return ensure(result, await answered);
  }

  #settle(id: number): Pending | undefined {
    const pending = this.#pending.get(id);
    if (!pending) return undefined;
    this.#pending.delete(id);
    this.#pendingOf.set(pending.to, (this.#pendingOf.get(pending.to) ?? 0) - 1);
    pending.cancelTimer();
    return pending;
  }

  #fail(id: number, reason: string): void {
    this.#settle(id)?.reject(new CallFailed(reason, true));
  }

  onDown(node: NodeName): void {
    for (const [id, pending] of this.#pending) if (pending.to === node) this.#fail(id, `${node} went away`);
  }

  stop(): void {
    for (const id of [...this.#pending.keys()]) this.#fail(id, 'this node is stopping');
  }

  #isRepeat(from: NodeName, id: number): boolean {
    const ids = this.#carriedOut.get(from) ?? new Set();
    this.#carriedOut.set(from, ids);
    if (ids.has(id)) return !this.#bugs.has('call-carried-out-twice');
    ids.add(id);
    for (const oldest of ids) {
      if (ids.size <= REMEMBERED_MAX) break;
      ids.delete(oldest);
    }
    return false;
  }

  onAnswer(from: NodeName, [, id, failure, result]: Answer): void {
    if (this.#pending.get(id)?.to !== from) return;
    const pending = this.#settle(id);
    if (failure) pending?.reject(errorOf(failure));
    else pending?.resolve(result);
  }

  onRequest(from: NodeName, [, id, requestId, timeoutMs, call]: Request): void {
    // A message that comes twice, even late, must not write twice: the second would go over what was written in between.
    if ((call[0] === WRITE || call[0] === CHANGE) && this.#isRepeat(from, id)) return;
    this.#handler(from, requestId, timeoutMs, call).then(
      (result) => this.#transport.send(from, [ANSWER, id, null, result]),
      (error: unknown) => this.#transport.send(from, [ANSWER, id, failureOf(error), null]),
    );
  }
}

function failureOf(error: unknown): Failure {
  if (!(error instanceof MeridianError)) return ['INTERNAL', 'the peer failed', '{}'];
  return [error.code, error.message.slice(0, 1000), JSON.stringify(error.figures).slice(0, 4000)];
}

function errorOf([code, detail, figures]: Failure): MeridianError {
  if (!isErrorCode(code))
    return new MeridianError('INTERNAL', 'a peer answered with an error that this version does not know');
  return new MeridianError(code, detail, figuresOf(figures));
}

function figuresOf(text: string): Figures {
  try {
    return JSON.parse(text) as Figures;
  } catch {
    return {};
  }
}
