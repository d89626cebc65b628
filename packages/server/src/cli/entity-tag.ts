import type { AnswerHead } from '@meridian/client/types';
import { SettingError } from '../config/setting-error.ts';

/** The tag of an answer without the quotes that HTTP has around it, which a shell or JSON would have to escape. */
export function bareTag({ etag }: AnswerHead): string | undefined {
  return etag?.replaceAll(/^"|"$/g, '');
}

export interface ConditionFlags {
  readonly context?: string;
  readonly ifMatch?: string;
  readonly idempotencyKey?: string;
}

/**
 * @throws SettingError for a flag that is empty: what a script meant to fill in is missing, and would be a condition that
 * never holds. Likewise for a context that is none: one with other characters would not even be sent.
 */
export function conditionsOf({ context, ifMatch, idempotencyKey }: ConditionFlags): ConditionFlags {
  if (ifMatch?.trim() === '') throw new SettingError('--if-match', 'expected an entity tag, found nothing');
  if (idempotencyKey === '') throw new SettingError('--idempotency-key', 'expected a text, found nothing');
  if (context !== undefined && !/^[\w-]+$/.test(context))
    throw new SettingError('--context', "expected the 'context' of an answer, found something else");
  return {
    ...(context === undefined ? {} : { context }),
    ...(ifMatch === undefined ? {} : { ifMatch: ifMatch.trim() }),
    ...(idempotencyKey === undefined ? {} : { idempotencyKey }),
  };
}
