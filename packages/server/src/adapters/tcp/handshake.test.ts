import type { NodeName } from '@meridian/core/ids';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { deriveKey } from '../system/derive-key.ts';
import { systemRandom } from '../system/system-random.ts';
import { dialerHandshake, type HandshakeSelf, type HandshakeStep, listenerHandshake } from './handshake.ts';
import { encodeHello, encodeProof, encodeRefusal, NONCE_CHARS } from './handshake-frames.ts';

const A = 'a' as NodeName;
const B = 'b' as NodeName;
const KEY = deriveKey('secret', 'peers');

function self(node: string, change: Partial<HandshakeSelf> = {}): HandshakeSelf {
  return {
    version: 3,
    cluster: 'shop',
    node: node as NodeName,
    key: KEY,
    nonce: systemRandom.id(NONCE_CHARS),
    isKnown: (name) => ['a', 'b', 'c'].includes(name),
    ...change,
  };
}

function replyOf(step: HandshakeStep): Uint8Array {
  if (!('reply' in step) || !step.reply) throw new Error(`no reply: ${JSON.stringify(step)}`);
  return step.reply;
}

/** Lets the two talk; tells how it ended for each. */
function converse(
  dialer: HandshakeSelf,
  to: string,
  listener: HandshakeSelf,
): { atDialer: string; atListener: string } {
  const there = listenerHandshake(listener);
  const here = dialerHandshake(dialer, to as NodeName);
  let atListener: HandshakeStep = there.take(here.opening);
  let atDialer: HandshakeStep = { kind: 'continue', reply: here.opening };
  while ('reply' in atListener && atListener.reply) {
    atDialer = here.take(atListener.reply);
    if (!('reply' in atDialer) || !atDialer.reply || atListener.kind !== 'continue') break;
    atListener = there.take(atDialer.reply);
  }
  return { atDialer: told(atDialer), atListener: told(atListener) };
}

function told(step: HandshakeStep): string {
  if (step.kind === 'failed') return `${step.reason}: ${step.text}`;
  return step.kind === 'proved' ? `proved ${step.peer}` : step.kind;
}

describe('the handshake', () => {
  it('proves both to each other', () => {
    expect(converse(self('a'), 'b', self('b'))).toEqual({ atDialer: 'proved b', atListener: 'proved a' });
  });

  it('tells both of two versions, at both ends', () => {
    expect(converse(self('a', { version: 2 }), 'b', self('b'))).toEqual({
      atDialer: 'version: the peer refused: it speaks protocol version 3, this node 2',
      atListener: 'version: it speaks protocol version 2, this node 3',
    });
  });

  it('reads the version of a hello whatever stands behind it', () => {
    const hello = encodeHello({ version: 70_000, cluster: '', from: '', to: '', nonce: '' });
    const step = listenerHandshake(self('b')).take(Buffer.concat([hello, Buffer.alloc(100, 0xff)]));
    expect(told(step)).toBe('version: it speaks protocol version 70000, this node 3');
  });

  it('tells clusters apart, at both ends, and names its own only in its own log', () => {
    expect(converse(self('a', { cluster: 'bank' }), 'b', self('b'))).toEqual({
      atDialer: 'cluster: the peer refused: it belongs to another cluster',
      atListener: 'cluster: it belongs to cluster "bank", this node to "shop"',
    });
  });

  it('refuses another secret', () => {
    const stranger = { key: deriveKey('guess', 'peers') };
    expect(converse(self('a', stranger), 'b', self('b'))).toEqual({
      atDialer: 'secret: the peer refused: it finds that this node does not know its secret',
      atListener: 'secret: "a" does not know the cluster\'s secret',
    });
  });

  it('refuses names that are not of the cluster, after the proof', () => {
    expect(converse(self('aa'), 'b', self('b')).atListener).toBe(
      'unknown-node: no node of this cluster is called "aa"',
    );
    const other = deriveKey('guess', 'peers');
    expect(converse(self('aa', { key: other }), 'b', self('b')).atListener).toMatch(/^secret: /);
    expect(converse(self('x'.repeat(200)), 'b', self('b')).atListener.length).toBeLessThan(130);
  });

  it('refuses a dialer that looks for another node, or is not the one to dial', () => {
    expect(converse(self('a'), 'c', self('b')).atDialer).toBe('wrong-node: "b" answered where "c" should be');
    expect(converse(self('c'), 'b', self('b')).atListener).toBe(
      'wrong-direction: "c" dials though its name is the larger one',
    );
    expect(converse(self('b'), 'b', self('b')).atListener).toMatch(/^wrong-direction: /);
  });

  it('takes no proof of an earlier conversation', () => {
    const listener = () => listenerHandshake(self('b'));
    const dialer = dialerHandshake(self('a'), B);
    const first = listener();
    const proof = replyOf(dialer.take(replyOf(first.take(dialer.opening))));
    expect(told(first.take(proof))).toBe('proved a');
    const second = listener();
    second.take(dialer.opening);
    expect(told(second.take(proof))).toMatch(/^secret: /);
  });

  it('takes nobody for a peer who sends its own frames back, or passes them to a second conversation with it', () => {
    const dialer = dialerHandshake(self('a'), B);
    expect(told(dialer.take(dialer.opening))).toMatch(/^wrong-node: /);
    const nonce = systemRandom.id(NONCE_CHARS);
    const forged = encodeHello({ version: 3, cluster: 'shop', from: 'b', to: 'a', nonce });
    const victim = dialerHandshake(self('a'), B);
    const proof = replyOf(victim.take(forged));
    expect(told(victim.take(proof))).toMatch(/^secret: /);
  });

  it('ends in proof only where nothing on the way was changed', () => {
    const flips = fc.record({ frame: fc.nat({ max: 3 }), at: fc.nat(), bit: fc.nat({ max: 7 }) });
    fc.assert(
      fc.property(flips, ({ frame, at, bit }) => {
        let count = 0;
        const through = (bytes: Uint8Array): Uint8Array => {
          if (count++ !== frame) return bytes;
          const changed = bytes.slice();
          changed[at % bytes.length] = (changed[at % bytes.length] as number) ^ (1 << bit);
          return changed;
        };
        const there = listenerHandshake(self('b'));
        const here = dialerHandshake(self('a'), B);
        let step = there.take(through(here.opening));
        if (step.kind === 'continue') step = here.take(through(step.reply));
        if (step.kind === 'continue') step = there.take(through(step.reply));
        if (step.kind === 'proved') step = here.take(through(replyOf(step)));
        expect(step.kind).toBe('failed');
      }),
      { numRuns: 3_000 },
    );
  });

  it('fails on any frame out of turn, and on bytes that are none', () => {
    const proof = encodeProof(new Uint8Array(32));
    expect(told(listenerHandshake(self('b')).take(proof))).toMatch(/^garbage: /);
    const greeted = listenerHandshake(self('b'));
    const { opening } = dialerHandshake(self('a'), B);
    greeted.take(opening);
    expect(told(greeted.take(opening))).toMatch(/^garbage: /);
    expect(told(dialerHandshake(self('a'), B).take(proof))).toMatch(/^garbage: /);
    expect(told(dialerHandshake(self('a'), B).take(encodeRefusal(3, 'unknown-node')))).toMatch(
      /^unknown-node: the peer refused/,
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        for (const shake of [listenerHandshake(self('b')), dialerHandshake(self('a'), B), dialerHandshake(self(A), B)])
          expect(told(shake.take(bytes))).toMatch(/^garbage: /);
      }),
    );
  });
});
