import { type Ballot, ballotText, compareBallots, ZERO_BALLOT } from '@meridian/core/coordination/paxos/ballot';
import type { Reply } from '@meridian/core/coordination/paxos/messages';
import {
  EMPTY_REGISTER,
  type Proposal,
  type RegisterState,
  type RegisterValue,
} from '@meridian/core/coordination/paxos/register';
import type { NodeName, RecordKey, StoreName } from '@meridian/core/ids';
import { quorumOf } from '@meridian/core/placement/preference-list';
import {
  ANSWER,
  type Message,
  REGISTER,
  REQUEST,
  type RegisterCall,
  type RegisterResult,
} from '@meridian/core/wire/messages';
import { decodeRegister, isRegisterBytes } from '@meridian/core/wire/register-codec';
import { decodeQuestions } from '@meridian/core/wire/register-question-codec';
import { decodeReplies } from '@meridian/core/wire/register-reply-codec';
import { InvariantBroken } from './invariant-broken.ts';
import { isWhole, type Member } from './member.ts';
import { SimulatedServer } from './simulated-database.ts';

interface Known {
  readonly text: string;
  readonly value: RegisterValue | null;
  readonly ballot: Ballot;
  /** Stores, by the names of their places, that had it accepted on disk at some time. */
  readonly acceptors: Set<StoreName>;
  isChosen: boolean;
}

interface KnownRegister {
  readonly byBallot: Map<string, Known>;
  readonly chosen: Map<number, Known>;
  highest: Known | undefined;
}

/** What one disk has said of one register. */
interface Heights {
  readonly promised: Ballot;
  readonly accepted: Ballot;
  readonly committed: Ballot;
}

const decoder = new TextDecoder();

/**
 * Paxos by its definition, beside the code that runs it: which ballots stand for which values, which of them a majority has
 * had on disk, and what each disk has said of itself. Numbers of invariants as in docs/reference/invariants.md.
 */
export class RegisterOracle {
  readonly #registers = new Map<RecordKey, KnownRegister>();
  readonly #heights = new WeakMap<object, Map<RecordKey, Heights>>();
  readonly #asked = new Map<string, RegisterCall>();
  /** Who holds a key. Set once the cluster stands. */
  holdersOf: (key: RecordKey) => readonly Member[] = () => [];

  /** What a disk has said counts no more: it was lost, or its database went back. */
  onLost({ disk }: Member): void {
    this.#heights.delete(disk);
  }

  onDurable(member: Member, key: RecordKey, state: RegisterState): void {
    this.#checkHeights(member, key, state);
    const register = this.#register(key);
    const { accepted, committed, isHearsay } = state;
    if (accepted) this.#witness(register, key, accepted, isHearsay ? undefined : member.storeName);
    if (!committed) return;
    const known = this.#witness(register, key, committed, undefined);
    if (!known.isChosen) this.#lookAtDisks(register, key);
    if (!known.isChosen)
      throw new InvariantBroken(
        3,
        `${member.name} takes ${ballotText(committed.ballot)} of ${key} (${known.text}) for chosen; accepted by ${[...known.acceptors].join(', ')}`,
      );
  }

  #chosenAs(key: RecordKey, version: number): Known | undefined {
    const register = this.#register(key);
    if (!register.chosen.has(version)) this.#lookAtDisks(register, key);
    return register.chosen.get(version);
  }

  /** What a node of a shared store has written others read there before it hears that it has, and also where it ends before it hears. */
  #lookAtDisks(register: KnownRegister, key: RecordKey): void {
    for (const { disk, storeName } of this.holdersOf(key)) {
      const bytes = disk.durableRecord(key);
      if (!bytes || !isRegisterBytes(bytes)) continue;
      const { accepted, isHearsay } = decodeRegister(bytes);
      if (accepted) this.#witness(register, key, accepted, isHearsay ? undefined : storeName);
    }
  }

  #register(key: RecordKey): KnownRegister {
    let register = this.#registers.get(key);
    if (!register) {
      register = { byBallot: new Map(), chosen: new Map(), highest: undefined };
      this.#registers.set(key, register);
    }
    return register;
  }

  #checkHeights({ disk, name }: Member, key: RecordKey, { promised, accepted, committed }: RegisterState): void {
    let heights = this.#heights.get(disk);
    if (!heights) {
      heights = new Map();
      this.#heights.set(disk, heights);
    }
    const now = {
      promised,
      accepted: accepted?.ballot ?? ZERO_BALLOT,
      committed: committed?.ballot ?? ZERO_BALLOT,
    };
    const before = heights.get(key);
    if (before && disk instanceof SimulatedServer && isPast(now, disk.durableRecord(key))) return;
    for (const what of ['promised', 'accepted', 'committed'] as const) {
      if (before && compareBallots(now[what], before[what]) < 0)
        throw new InvariantBroken(
          4,
          `${name} has ${ballotText(now[what])} as ${what} of ${key}; it had ${ballotText(before[what])}`,
        );
    }
    heights.set(key, now);
  }

  #witness(register: KnownRegister, key: RecordKey, { ballot, value }: Proposal, by: StoreName | undefined): Known {
    const name = ballotText(ballot);
    const text = textOf(value);
    let known = register.byBallot.get(name);
    if (!known) {
      known = { text, value, ballot, acceptors: new Set(), isChosen: false };
      register.byBallot.set(name, known);
    }
    if (known.text !== text)
      throw new InvariantBroken(4, `ballot ${name} of ${key} stands for two values: ${known.text} and ${text}`);
    if (by === undefined || known.acceptors.has(by)) return known;
    known.acceptors.add(by);
    if (!known.isChosen && known.acceptors.size >= quorumOf(this.holdersOf(key).length))
      this.#choose(register, key, known);
    return known;
  }

  #choose(register: KnownRegister, key: RecordKey, known: Known): void {
    known.isChosen = true;
    const version = known.value?.version ?? 0;
    for (const other of register.chosen.values()) {
      const order = compareBallots(known.ballot, other.ballot);
      const otherVersion = other.value?.version ?? 0;
      if (otherVersion === version && other.text !== known.text)
        throw new InvariantBroken(
          3,
          `two values of ${key} were chosen as version ${version}: ${other.text}, ${known.text}`,
        );
      if (order * (version - otherVersion) < 0)
        throw new InvariantBroken(
          3,
          `${key} went back: ${other.text} was chosen by ${ballotText(other.ballot)}, and ${known.text} by ${ballotText(known.ballot)}`,
        );
      const isTwice = known.value?.body && other.value?.body && otherVersion !== version;
      if (isTwice && bodyOf(known.value) === bodyOf(other.value))
        throw new InvariantBroken(3, `a change of ${key} was applied twice: as ${other.text}, and as ${known.text}`);
    }
    if (!register.chosen.has(version)) register.chosen.set(version, known);
    if (!register.highest || compareBallots(known.ballot, register.highest.ballot) > 0) register.highest = known;
  }

  /** What a reader is shown was chosen (invariant 3), and is durable on a majority (invariant 8). */
  checkShown(key: RecordKey, version: number, body: string | undefined, what: string): void {
    if (version === 0) return;
    const chosen = this.#chosenAs(key, version);
    if (!chosen)
      throw new InvariantBroken(
        3,
        `${what} showed version ${version} of ${key}, which was never chosen; ${this.#proposalsOf(key, version)}`,
      );
    if (body !== undefined && bodyOf(chosen.value) !== body)
      throw new InvariantBroken(3, `${what} showed version ${version} of ${key} as ${body}; chosen was ${chosen.text}`);
    this.#checkDurable(key, version, what);
  }

  /** A change that is acknowledged was chosen, or what was chosen rests on it: then its request is in there. */
  checkAcknowledged(key: RecordKey, version: number, body: string | undefined, what: string): void {
    const chosen = this.#chosenAs(key, version);
    const register = this.#registers.get(key);
    const isWithin = [...(register?.chosen.values() ?? [])].some(({ value }) =>
      value?.requests.some((request) => request.version === version),
    );
    if (chosen ? body !== undefined && bodyOf(chosen.value) !== body : !isWithin)
      throw new InvariantBroken(
        3,
        `${what} was acknowledged as version ${version} of ${key}, ${body ?? 'a tombstone'}; chosen was ${chosen?.text ?? 'none'}; ${this.#proposalsOf(key, version)}`,
      );
    this.#checkDurable(key, version, what);
  }

  #checkDurable(key: RecordKey, version: number, what: string): void {
    const holders = this.holdersOf(key);
    const durable = holders.filter(({ disk }) => {
      const bytes = disk.durableRecord(key);
      const accepted = bytes && isRegisterBytes(bytes) ? decodeRegister(bytes).accepted : undefined;
      return (accepted?.value?.version ?? 0) >= version;
    });
    // A disk that was lost, and is filled anew, is one that may be missing.
    const lost = holders.filter((holder) => !durable.includes(holder) && !isWhole(holder)).length;
    if (durable.length + lost < quorumOf(holders.length))
      throw new InvariantBroken(
        8,
        `${what} told of version ${version} of ${key}, which is durable on ${durable.map(({ name }) => name).join(', ')} only`,
      );
  }

  #proposalsOf(key: RecordKey, version: number): string {
    const known = [...(this.#registers.get(key)?.byBallot.values() ?? [])].filter(
      ({ value }) => value?.version === version,
    );
    return known
      .map(({ ballot, text, acceptors }) => `${ballotText(ballot)}: ${text} on ${[...acceptors].join(', ')}`)
      .join('; ');
  }

  /** What a replica says it has promised and accepted is on its disk when it says so. */
  inspect(from: Member, to: NodeName, message: Message): void {
    if (message[0] === REQUEST && message[4][0] === REGISTER) {
      this.#asked.set(`${from.name} ${message[1]}`, message[4]);
      return;
    }
    if (message[0] !== ANSWER || message[2] !== null) return;
    const asked = this.#asked.get(`${to} ${message[1]}`);
    this.#asked.delete(`${to} ${message[1]}`);
    if (!asked) return;
    const [, keys, bytes] = asked;
    const questions = decodeQuestions(bytes, keys.length);
    const replies = decodeReplies((message[3] as RegisterResult)[1], questions);
    keys.forEach((key, at) => {
      const reply = replies[at];
      if (reply) this.#checkReply(from, key, reply);
    });
  }

  #checkReply(from: Member, key: RecordKey, reply: Reply): void {
    const bytes = from.disk.durableRecord(key);
    const state = bytes && isRegisterBytes(bytes) ? decodeRegister(bytes) : undefined;
    const onDisk = { promised: state?.promised ?? ZERO_BALLOT, accepted: state?.accepted?.ballot ?? ZERO_BALLOT };
    const told = { promised: ZERO_BALLOT, accepted: ZERO_BALLOT };
    if (reply.kind === 'promised') told.promised = reply.ballot;
    else if (reply.kind === 'held' || reply.kind === 'accepted') told.promised = reply.promised;
    if (reply.kind === 'accepted') told.accepted = reply.ballot;
    else if (reply.kind === 'promised' || reply.kind === 'held') told.accepted = reply.accepted?.ballot ?? ZERO_BALLOT;
    for (const what of ['promised', 'accepted'] as const) {
      if (compareBallots(onDisk[what], told[what]) < 0)
        throw new InvariantBroken(
          8,
          `${from.name} says that it has ${what} ${ballotText(told[what])} of ${key}, and has ${ballotText(onDisk[what])} on disk`,
        );
    }
  }

  /** Invariants 1 and 2 of registers: once a cluster is quiet, every replica knows what was chosen last. What is wrong, if anything. */
  disagreement(): string | undefined {
    for (const [key, { highest }] of this.#registers) {
      if (!highest) continue;
      for (const member of this.holdersOf(key)) {
        const bytes = member.disk.durableRecord(key);
        const { accepted, committed } = bytes && isRegisterBytes(bytes) ? decodeRegister(bytes) : EMPTY_REGISTER;
        if (textOf(committed?.value ?? null) === highest.text) continue;
        return `${key} is ${highest.text} by ${ballotText(highest.ballot)}; ${member.name} knows ${proposalText(committed)}, has accepted ${proposalText(accepted)}`;
      }
    }
    return undefined;
  }
}

function proposalText(proposal: Proposal | undefined): string {
  return proposal ? `${textOf(proposal.value)} by ${ballotText(proposal.ballot)}` : 'nothing';
}

function bodyOf(value: RegisterValue | null): string | undefined {
  return value?.body ? decoder.decode(value.body) : undefined;
}

function textOf(value: RegisterValue | null): string {
  if (!value) return 'nothing';
  return `v${value.version} ${bodyOf(value) ?? '(deleted)'} at ${value.timeMs}`;
}

/** A node of a shared store that stood still tells late of what it wrote: others have gone on from there. */
function isPast(told: Heights, durable: Uint8Array | undefined): boolean {
  if (durable === undefined) return false;
  const { promised, accepted, committed } = decodeRegister(durable);
  const orders = [
    compareBallots(promised, told.promised),
    compareBallots(accepted?.ballot ?? ZERO_BALLOT, told.accepted),
    compareBallots(committed?.ballot ?? ZERO_BALLOT, told.committed),
  ];
  return orders.every((order) => order >= 0) && orders.some((order) => order > 0);
}
