import { MeridianRequestError } from './errors.ts';

/** What a write depends on. Only namespaces of mode strong take it; others answer CONDITION_NEEDS_STRONG_NAMESPACE. */
export interface WriteConditions {
  /** The entity tag of what must be there (`head.etag`), several with commas between them, or `*`: any live value. */
  readonly ifMatch?: string;
  /** There must be no live value. */
  readonly ifNoneMatch?: '*';
  /** 1 to 256 printable ASCII characters. A change that was applied under it within the last hour is answered as it was then, and not applied again. */
  readonly idempotencyKey?: string;
}

const IDEMPOTENCY_KEY = /^[!-~]([ -~]{0,254}[!-~])?$/;

/** @throws MeridianRequestError INVALID_PARAMETER for an idempotency key that a header cannot carry unchanged */
export function conditionHeaders({ ifMatch, ifNoneMatch, idempotencyKey }: WriteConditions): {
  readonly [name: string]: string | undefined;
} {
  if (idempotencyKey !== undefined && !IDEMPOTENCY_KEY.test(idempotencyKey)) {
    const detail = 'an idempotency key is 1 to 256 printable ASCII characters, with no space at its ends';
    throw new MeridianRequestError(400, 'INVALID_PARAMETER', detail, { parameter: 'Idempotency-Key' });
  }
  return {
    'if-match': ifMatch === undefined ? undefined : tagsOf(ifMatch),
    'if-none-match': ifNoneMatch,
    'idempotency-key': idempotencyKey,
  };
}

/** A tag that lost its quotes on the way, in a shell for one, gets them back: without them it would match nothing. */
function tagsOf(text: string): string {
  if (!/^[ -~]*$/.test(text)) {
    const detail = 'an entity tag is printable ASCII';
    throw new MeridianRequestError(400, 'INVALID_PARAMETER', detail, { parameter: 'If-Match' });
  }
  return text === '*' || text.includes('"') ? text : `"${text}"`;
}
