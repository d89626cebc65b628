import { MeridianError } from '@meridian/core/wire/errors';
import type {
  AnswerHead,
  LedgerItem,
  ListItem,
  PutValue,
  ReadAnswer,
  SeenValue,
  WriteAnswer,
} from '../node/service.ts';
import { BodyText, jsonText } from './body-text.ts';
import type { HeaderLines } from './header-lines.ts';
import { checkJson, JsonError } from './json-scanner.ts';
import { BYTES_MEDIA, isStoredJson, JSON_MEDIA } from './media.ts';
import { commonHeaders, JSON_TYPE } from './send.ts';
import { timeText } from './time-text.ts';

/** An envelope as it comes in: checked against its schema, with the value's bytes as they were sent. */
export interface SentEnvelope {
  readonly value: Buffer;
  readonly ttl?: number;
  readonly encoding?: 'base64';
  readonly contentType?: string;
}

/** @throws INVALID_BODY, VALUE_TOO_LARGE */
export function valueOfEnvelope(envelope: SentEnvelope, valueBytesMax: number): PutValue {
  if (envelope.encoding !== undefined) return decodedValue(envelope, valueBytesMax);
  if (envelope.contentType !== undefined && envelope.contentType !== JSON_MEDIA) {
    throw new MeridianError('INVALID_BODY', '"contentType" goes with "encoding": a value without one is JSON.');
  }
  return { body: sized(envelope.value, valueBytesMax), contentType: JSON_MEDIA, ttlSeconds: envelope.ttl };
}

function decodedValue(envelope: SentEnvelope, valueBytesMax: number): PutValue {
  const text: unknown = envelope.value[0] === 0x22 ? JSON.parse(envelope.value.toString('utf8')) : undefined;
  const body = typeof text === 'string' ? decodeBase64(text) : undefined;
  if (!body) throw new MeridianError('INVALID_BODY', '"value" must be a string of base64, as "encoding" says.');
  const contentType = envelope.contentType ?? BYTES_MEDIA;
  checkStored(body, contentType, '"value"');
  return { body: sized(body, valueBytesMax), contentType, ttlSeconds: envelope.ttl };
}

/** The bytes, where `text` is base64 with its padding, written the one canonical way. */
export function decodeBase64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64');
  return bytes.toString('base64') === text ? bytes : undefined;
}

/** What is kept as JSON is shown as JSON, so it must be some. @throws INVALID_BODY */
export function checkStored(body: Uint8Array, contentType: string, where: string): void {
  if (!isStoredJson(contentType)) return;
  try {
    checkJson(body);
  } catch (error) {
    if (error instanceof JsonError) throw new MeridianError('INVALID_BODY', `${where} ${error.message}.`);
    throw error;
  }
}

function sized(body: Buffer, bytesMax: number): Buffer {
  if (body.length <= bytesMax) return body;
  throw new MeridianError('VALUE_TOO_LARGE', `The value has ${body.length} bytes; at most ${bytesMax} are taken.`, {
    bytes: body.length,
    bytesMax,
  });
}

export interface Known {
  readonly key: string;
  readonly context: string;
  readonly values: readonly SeenValue[];
}

/** Writes the envelope without its opening brace, so that a batch can put a status before it. `values` is not empty. */
export function writeEnvelope(text: BodyText, known: Known, withValues = true): void {
  const winner = known.values[0] as SeenValue;
  const conflict = known.values.length > 1;
  text.ascii('"key":');
  text.json(known.key);
  if (withValues) writeValue(text, winner);
  else if (!isStoredJson(winner.contentType)) writeType(text, winner);
  text.ascii(
    `,"context":"${known.context}","time":"${timeText(winner.timeMs)}","region":${regionText(winner.region)},"conflict":${conflict}`,
  );
  if (conflict && withValues) writeSiblings(text, known.values);
  text.ascii(`,"expiresAt":${instantText(winner.expiresAtMs)}}`);
}

function writeValue(text: BodyText, value: SeenValue): void {
  text.ascii(',"value":');
  if (isStoredJson(value.contentType)) {
    text.bytes(value.body);
    return;
  }
  text.base64(value.body);
  text.ascii(',"encoding":"base64"');
  writeType(text, value);
}

function writeType(text: BodyText, value: SeenValue): void {
  text.ascii(',"contentType":');
  text.json(value.contentType);
}

function writeSiblings(text: BodyText, values: readonly SeenValue[]): void {
  text.ascii(',"siblings":[');
  values.forEach((value, index) => {
    text.ascii(index === 0 ? '{"time":' : ',{"time":');
    text.ascii(`"${timeText(value.timeMs)}","region":${regionText(value.region)}`);
    writeValue(text, value);
    text.ascii('}');
  });
  text.ascii(']');
}

/** Likewise, of a write. */
export function writeWritten(text: BodyText, key: string, answer: WriteAnswer): void {
  text.ascii('"key":');
  text.json(key);
  text.ascii(
    `,"context":"${answer.head.context}","time":"${timeText(answer.timeMs)}","region":${regionText(answer.region)},"expiresAt":${instantText(answer.expiresAtMs)}}`,
  );
}

export function envelopeOf(key: string, answer: ReadAnswer): BodyText {
  const text = new BodyText();
  text.ascii('{');
  writeEnvelope(text, { key, context: answer.head.context, values: answer.values });
  return text;
}

export function writtenOf(key: string, answer: WriteAnswer): BodyText {
  const text = new BodyText();
  text.ascii('{');
  writeWritten(text, key, answer);
  return text;
}

export function listOf(items: readonly ListItem[], cursor: string | undefined, withValues: boolean): BodyText {
  const text = new BodyText();
  text.ascii('{"items":[');
  let isFirst = true;
  for (const item of items) {
    if (item.values.length === 0) continue;
    text.ascii(isFirst ? '{' : ',{');
    isFirst = false;
    writeEnvelope(text, item, withValues);
  }
  text.ascii(']');
  if (cursor !== undefined) text.ascii(`,"cursor":"${cursor}"`);
  text.ascii('}');
  return text;
}

export function ledgerText(items: readonly LedgerItem[]): BodyText {
  const text = new BodyText();
  text.ascii('{"items":[');
  items.forEach(({ id, key, value, hiddenAtMs }, index) => {
    text.ascii(index === 0 ? '{"id":' : ',{"id":');
    text.json(id);
    text.ascii(',"key":');
    text.json(key);
    writeValue(text, value);
    text.ascii(`,"time":"${timeText(value.timeMs)}","region":${regionText(value.region)}`);
    text.ascii(`,"expiresAt":${instantText(value.expiresAtMs)},"hiddenAt":"${timeText(hiddenAtMs)}"}`);
  });
  text.ascii(']}');
  return text;
}

/** All headers of an answer about a key that has a value. */
export function envelopeHeaders(requestId: string, head: AnswerHead, withReceipt: boolean): HeaderLines {
  const headers = commonHeaders(requestId, JSON_TYPE);
  headers.add('ETag', `"${head.etag}"`);
  return addHead(headers, head, withReceipt);
}

/** The headers that go with every answer about a key, found or not. */
export function addHead(headers: HeaderLines, head: AnswerHead, withReceipt: boolean): HeaderLines {
  headers.add('Meridian-Context', head.context);
  if (head.session !== '') headers.add('Meridian-Session', head.session);
  headers.add('Meridian-Region', head.receipt.region);
  if (withReceipt) headers.add('Meridian-Receipt', receiptText(head.receipt));
  return headers;
}

export function receiptText(receipt: object): string {
  return JSON.stringify(receipt).replace(
    /[^\x20-\x7e]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

function regionText(region: string | null): string {
  return region === null ? 'null' : jsonText(region);
}

function instantText(timeMs: number | null): string {
  return timeMs === null ? 'null' : `"${timeText(timeMs)}"`;
}
