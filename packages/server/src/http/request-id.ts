import { randomBytes } from 'node:crypto';

const SANE = /^[A-Za-z0-9._:@/+=-]{1,128}$/;

/** A client's own id is kept where it is short and harmless in logs and headers; else one is made that is unique among nodes. */
export class RequestIds {
  readonly #prefix = `${randomBytes(6).toString('base64url')}-`;
  #count = 0;

  of(sent: string | readonly string[] | undefined): string {
    if (typeof sent === 'string' && SANE.test(sent)) return sent;
    this.#count++;
    return this.#prefix + this.#count.toString(36);
  }
}
