import type { ProposerId } from '../coordination/paxos/ballot.ts';
import type { RecordKey, Sequence, StoreId, StoreName } from '../ids.ts';
import {
  bytes,
  ensure,
  flag,
  list,
  nullable,
  oneOf,
  only,
  type Shape,
  text,
  tuple,
  type ValueOf,
  whole,
} from './shape.ts';

/**
 * All that nodes say to each other, as arrays of fixed order. The first field says which message it is. Records travel as
 * the bytes of `record-codec.ts`.
 */

const sequence = whole as Shape<number> as Shape<Sequence>;
const storeId = text<StoreId>(220);
const storeName = text<StoreName>(64);
/** A namespace id, NUL, and a key of up to 1,024 bytes. */
const recordKey = text<RecordKey>(1200);
/** More stores than a cluster will ever have had. */
const vector = list(tuple(storeId, sequence), 4096);
/** More rows than any page asks for. */
const rows = list(tuple(recordKey, bytes), 100_000);
const requestId = text(128);
const turnName = text(128);

/** A version vector on the wire. */
export type VectorEntries = ValueOf<typeof vector>;
export type RowEntries = ValueOf<typeof rows>;

export const GREETING = 0;
export const FOLLOW = 1;
export const CHANGES = 2;
export const APPLIED = 3;
export const PING = 4;
export const PONG = 5;
export const REQUEST = 6;
export const ANSWER = 7;
export const CHOSEN = 8;
export const UNFOLLOW = 9;
export const COMMITTED = 10;

/** First on each connection: who holds what. A receiver that finds itself named ahead of its own sequence takes a new id. */
const greeting = tuple(only(GREETING), storeName, storeId, sequence, flag, vector);
/** Receiver to origin: origin, follower, cursor, applied, whether all records are wanted, not only the origin's own dots, number of the stream. */
const follow = tuple(only(FOLLOW), storeId, storeId, sequence, sequence, flag, whole);
/** Receiver to origin: another node of its store follows now. Origin, follower, number of the stream. */
const unfollow = tuple(only(UNFOLLOW), storeId, storeId, whole);
/** Origin to receiver: origin, follower, from, upTo, whether it completes a view of the index as of upTo, rows, number of the stream. */
const changes = tuple(only(CHANGES), storeId, storeId, sequence, sequence, flag, rows, whole);
/** Receiver to origin, once durable: origin, follower, cursor, applied. */
const applied = tuple(only(APPLIED), storeId, storeId, sequence, sequence);
/** Count, store id, sequence, whether it is filled, the positions' claims. */
const ping = tuple(only(PING), whole, storeId, sequence, flag, vector);
const pong = tuple(only(PONG), whole);

export const READ = 0;
export const MERGE = 1;
export const WRITE = 2;
export const SCAN = 3;
export const STATUS = 4;
export const FETCH = 5;
export const REGISTER = 6;
export const CHANGE = 7;
export const CONSULT = 8;
export const LATEST = 9;

/** Record key, what the session must have covered. -> record, store, whether it may count in a quorum, staleness. */
const read = tuple(only(READ), recordKey, nullable(vector));
/** Rows to merge durably. -> store, how many changed something, how many of them are conflicts now. */
const merge = tuple(only(MERGE), rows);
/** Record key, body (null deletes), content type, time to live in ms (null: for ever), context, session, level, conditions (1: only where nothing lives). */
const write = tuple(
  only(WRITE),
  recordKey,
  nullable(bytes),
  text(255),
  nullable(whole),
  nullable(vector),
  vector,
  text(16),
  whole,
);
/** From, to, rows, bytes, what the session must have covered, whether fingerprints stand for records. */
const scan = tuple(only(SCAN), recordKey, recordKey, whole, whole, nullable(vector), flag);
const status = tuple(only(STATUS));
/** Records by their keys. */
const fetch = tuple(only(FETCH), list(recordKey, 10_000));

/** Round, proposer. */
const ballot = tuple(whole, text<ProposerId>(260));
/** Registers that one call may ask about. */
export const REGISTERS_MAX = 1024;
/** Record keys; as many questions of a proposer, as register-question-codec.ts writes them. -> store, its replies. */
const register = tuple(only(REGISTER), list(recordKey, REGISTERS_MAX), bytes);
/** A change of a register, passed on: record key, what stands for a client's request and its idempotency key, body (null deletes), content type, time to live in ms, session, condition, versions it names. */
const change = tuple(
  only(CHANGE),
  recordKey,
  nullable(text(32)),
  nullable(bytes),
  text(255),
  nullable(whole),
  vector,
  text(16),
  list(whole, 64),
);
/** A linearizable read of a register, passed on. */
const consult = tuple(only(CONSULT), recordKey);

/** To a node that shares the store. -> of the latest turn that it has heard of: the store, version, name. */
const latest = tuple(only(LATEST));

const call = oneOf([read, merge, write, scan, status, fetch, register, change, consult, latest]);
export type Call = ValueOf<typeof call>;

export const readResult = tuple(nullable(bytes), storeId, flag, nullable(whole));
export const mergeResult = tuple(storeId, whole, whole);
/** Store, sequence of the write (0 where none was made), vector of the record, time, expiry, whether a live value was there before, replicas asked, replicas answered, rounds. */
export const writeResult = tuple(storeId, sequence, vector, whole, nullable(whole), flag, whole, whole, whole);
/** Store, rows, whether the range ended with them, whether the store may count in a quorum, staleness. */
export const scanResult = tuple(storeId, rows, flag, flag, nullable(whole));
/** Store, replies in the order of the questions, as register-reply-codec.ts writes them. */
export const registerResult = tuple(storeId, bytes);
/** Store, verdict, version, time, expiry, whether a live value was there before, the writer of the version, rounds, replicas asked, replicas answered. */
export const changeResult = tuple(
  storeId,
  text(32),
  whole,
  whole,
  nullable(whole),
  flag,
  nullable(storeId),
  whole,
  whole,
  whole,
);
/** Store, bytes of the value, rounds, replicas asked, replicas answered. */
export const consultResult = tuple(storeId, bytes, whole, whole, whole);
/** Records, bytes used, sequence. */
export const statusResult = tuple(whole, whole, sequence);
export const fetchResult = rows;
export const latestResult = tuple(storeId, whole, turnName);

/** Id for the answer, request id for the logs, time left in ms, call. */
const request = tuple(only(REQUEST), whole, requestId, whole, call);
/** Error code of the table, detail, figures as JSON. */
const failure = tuple(text(64), text(1000), text(4000));
export type Failure = ValueOf<typeof failure>;
/** Results differ by call; who asked checks them. */
const anything: Shape<unknown> = { name: 'result', check: (_value): _value is unknown => true };
const answer = tuple(only(ANSWER), whole, nullable(failure), anything);

/** What a proposer knows to be chosen: record keys and ballots. Nobody answers, and any may be lost. */
const chosen = tuple(only(CHOSEN), list(tuple(recordKey, ballot), 4096));

/** Between nodes that share a store: the store, from, upTo, rows with their sequences (null: too many to send), whether more than rows has changed, the turn's version and name, the name of the turn before it. */
const committed = tuple(
  only(COMMITTED),
  storeId,
  sequence,
  sequence,
  nullable(list(tuple(recordKey, sequence, bytes), 4096)),
  flag,
  whole,
  turnName,
  turnName,
);

const message = oneOf([greeting, follow, changes, applied, ping, pong, request, answer, chosen, unfollow, committed]);
export type Message = ValueOf<typeof message>;
export type Greeting = ValueOf<typeof greeting>;
export type Follow = ValueOf<typeof follow>;
export type Changes = ValueOf<typeof changes>;
export type Applied = ValueOf<typeof applied>;
export type Ping = ValueOf<typeof ping>;
export type Request = ValueOf<typeof request>;
export type Answer = ValueOf<typeof answer>;
export type Unfollow = ValueOf<typeof unfollow>;
export type Committed = ValueOf<typeof committed>;
export type ChosenBallots = ValueOf<typeof chosen>;
export type ReadCall = ValueOf<typeof read>;
export type WriteCall = ValueOf<typeof write>;
export type ScanCall = ValueOf<typeof scan>;
export type WriteResult = ValueOf<typeof writeResult>;
export type RegisterCall = ValueOf<typeof register>;
export type RegisterResult = ValueOf<typeof registerResult>;
export type ChangeCall = ValueOf<typeof change>;
export type ChangeResult = ValueOf<typeof changeResult>;
export type ConsultCall = ValueOf<typeof consult>;
export type ConsultResult = ValueOf<typeof consultResult>;
export type LatestResult = ValueOf<typeof latestResult>;

/** @throws MalformedBytes where `value` is no message of this protocol. */
export function checkMessage(value: unknown): Message {
  return ensure(message, value);
}

/** The shapes of all messages and results in one text: what a peer must agree with. */
export function wireShapes(): string {
  return [
    message,
    readResult,
    mergeResult,
    writeResult,
    scanResult,
    statusResult,
    fetchResult,
    registerResult,
    changeResult,
    consultResult,
    latestResult,
  ]
    .map((shape) => shape.name)
    .join('\n');
}
