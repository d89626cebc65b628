import { StoreFailedError, StoreFullError } from '../../ports/store.ts';
import { failureOf } from './failures.ts';

/** The failure as the Store port knows it. */
export function storeError(error: unknown): Error {
  if (error instanceof StoreFailedError || error instanceof StoreFullError) return error;
  const failure = failureOf(error);
  if (failure.kind === 'full') return new StoreFullError('the disk of the database is full', { cause: failure });
  return new StoreFailedError(`the database failed: ${failure.message}`, { cause: failure });
}
