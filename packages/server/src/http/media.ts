import { MeridianError } from '@meridian/core/wire/errors';
import { CONTENT_TYPE_LENGTH_MAX } from './limits.ts';

export const JSON_MEDIA = 'application/json';
export const BYTES_MEDIA = 'application/octet-stream';

const PRINTABLE = /^[\x20-\x7e]*$/;
const CHARSET = /;\s*charset\s*=\s*"?([^";\s]*)/i;

/** Whether a `Content-Type` says JSON. @throws UNSUPPORTED_MEDIA_TYPE for JSON in another charset than UTF-8 */
export function isJsonType(type: string | undefined): boolean {
  if (type === JSON_MEDIA) return true;
  if (type === undefined) return false;
  const end = type.indexOf(';');
  if ((end < 0 ? type : type.slice(0, end)).trim().toLowerCase() !== JSON_MEDIA) return false;
  const charset = CHARSET.exec(type)?.[1]?.toLowerCase();
  if (charset !== undefined && charset !== 'utf-8' && charset !== 'utf8' && charset !== 'us-ascii') {
    throw new MeridianError('UNSUPPORTED_MEDIA_TYPE', 'JSON is taken in UTF-8 only.');
  }
  return true;
}

/** The type under which a raw body is kept. @throws UNSUPPORTED_MEDIA_TYPE */
export function keptType(type: string | undefined): string {
  if (type === undefined) return BYTES_MEDIA;
  if (type.length > CONTENT_TYPE_LENGTH_MAX || !PRINTABLE.test(type)) {
    throw new MeridianError(
      'UNSUPPORTED_MEDIA_TYPE',
      `A content type has at most ${CONTENT_TYPE_LENGTH_MAX} characters, all of printable ASCII.`,
      {
        lengthMax: CONTENT_TYPE_LENGTH_MAX,
      },
    );
  }
  return type;
}

/** A stored type that is JSON to the byte, so that its value can stand in an envelope as it is. */
export function isStoredJson(type: string): boolean {
  return type === JSON_MEDIA;
}

export type Wanted = 'envelope' | 'bytes';

/**
 * Which form of a value an `Accept` header asks for: the envelope, unless the bare bytes are preferred to it.
 * @throws NOT_ACCEPTABLE where neither is
 */
export function wantedForm(accept: string | undefined): Wanted {
  if (accept === undefined || accept === '*/*' || accept === JSON_MEDIA) return 'envelope';
  if (accept === BYTES_MEDIA) return 'bytes';
  const envelope = qualityOf(accept, JSON_MEDIA);
  const bytes = exactQualityOf(accept, BYTES_MEDIA) ?? 0;
  if (bytes > envelope) return 'bytes';
  if (envelope > 0) return 'envelope';
  if (qualityOf(accept, BYTES_MEDIA) > 0) return 'bytes';
  throw new MeridianError(
    'NOT_ACCEPTABLE',
    `A value comes as ${JSON_MEDIA} (its envelope) or as ${BYTES_MEDIA} (its bytes, under their own type).`,
  );
}

/** RFC 9110, 12.5.1: the most specific range that fits counts. */
function qualityOf(accept: string, media: string): number {
  const family = `${media.slice(0, media.indexOf('/'))}/*`;
  return exactQualityOf(accept, media) ?? exactQualityOf(accept, family) ?? exactQualityOf(accept, '*/*') ?? 0;
}

function exactQualityOf(accept: string, media: string): number | undefined {
  for (const range of accept.split(',')) {
    const [type, ...parameters] = range.split(';').map((part) => part.trim().toLowerCase());
    if (type !== media) continue;
    const q = parameters.find((parameter) => parameter.startsWith('q='));
    const quality = q === undefined ? 1 : Number(q.slice(2));
    return quality >= 0 && quality <= 1 ? quality : 0;
  }
  return undefined;
}
