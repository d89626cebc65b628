import type { Replica as Place } from '@meridian/core/placement/preference-list';
import { MeridianError } from '@meridian/core/wire/errors';
import { NOT_READY } from './readiness.ts';

export function quorumUnavailable(
  required: number,
  reached: number,
  missing: readonly Place[],
  outcome = 'nothing was written',
): MeridianError {
  const missingRegions = [...new Set(missing.map(({ region }) => region))];
  const named = missingRegions.length > 0 ? `, missing ${missingRegions.join(', ')}` : '';
  return new MeridianError('QUORUM_UNAVAILABLE', `required ${required}, reached ${reached}${named}; ${outcome}`, {
    required,
    reached,
    missingRegions,
  });
}

/** Of a store that cannot answer for what it holds. */
export function notReady(): MeridianError {
  return new MeridianError('REPLICA_UNAVAILABLE', NOT_READY);
}

export function notCovered(): MeridianError {
  return new MeridianError(
    'SESSION_NOT_COVERED',
    'no replica that holds all that this session has seen answered in time',
  );
}

export function noneInTime(): MeridianError {
  return new MeridianError('REPLICA_UNAVAILABLE', 'no replica answered in time');
}

export function storeTooSlow(): MeridianError {
  return new MeridianError('REPLICA_UNAVAILABLE', 'the store did not answer in time');
}
