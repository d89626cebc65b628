import { MalformedBytes } from '@meridian/core/wire/bytes';
import { checkMessage, type Message } from '@meridian/core/wire/messages';
import { Packr, RESERVE_START_SPACE, RESET_BUFFER_MODE, Unpackr } from 'msgpackr';
import { isPlainMessage } from './message-scan.ts';

/** Each frame: its length in four bytes, highest first, then so many bytes. */
export const FRAME_HEADER_BYTES = 4;
/** Small messages are packed here one after another, each over the last, and copied out at once. */
const SCRATCH_BYTES = 64 * 1024;
/** What msgpackr wants free behind a message before it looks for a larger buffer. */
const SLACK_BYTES = 4 * 1024;

const packr = new Packr({ useRecords: false });
const aliasing = new Unpackr({ useRecords: false });
const copying = new Unpackr({ useRecords: false, copyBuffers: true });
const span = { start: 0, end: 0 };

const scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES);
packr.useBuffer(scratch);

/** Messages of at most so many bytes go through `packSmall`. */
export const SMALL_BYTES_MAX = 16 * 1024;

/** The message's bytes without header. They are valid until the next call of this module: copy them. */
export function packSmall(message: Message): Uint8Array {
  return packr.pack(message, RESET_BUFFER_MODE);
}

/** A whole frame with its header, in memory of its own; `bytesAtMost` is the bound of `messageBytesAtMost`. One copy of what the message holds. */
export function packLarge(message: Message, bytesAtMost: number): Uint8Array {
  packr.useBuffer(Buffer.allocUnsafeSlow(bytesAtMost + FRAME_HEADER_BYTES + SLACK_BYTES));
  try {
    const frame = packr.pack(message, RESERVE_START_SPACE | FRAME_HEADER_BYTES) as Buffer;
    frame.writeUInt32BE(frame.length - FRAME_HEADER_BYTES, 0);
    return frame;
  } finally {
    packr.useBuffer(scratch);
  }
}

/**
 * Reads one message. Its byte arrays are views on `bytes` where `isOwned`, else copies: a kept one must not hold on to a
 * chunk in which other frames came along.
 * @throws MalformedBytes on anything that is no message; it cites nothing of the bytes.
 */
export function unpackMessage(bytes: Uint8Array, from: number, to: number, isOwned: boolean): Message {
  if (!isPlainMessage(bytes, from, to)) throw new MalformedBytes('a frame that holds no plain list of values');
  let value: unknown;
  try {
    span.start = from;
    span.end = to;
    value = (isOwned ? aliasing : copying).unpack(bytes, span);
  } catch {
    throw new MalformedBytes('a frame that cannot be unpacked');
  }
  return checkMessage(value);
}
