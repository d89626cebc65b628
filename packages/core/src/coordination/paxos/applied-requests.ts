import type { ProposerId } from './ballot.ts';
import type { AppliedRequest, RegisterValue } from './register.ts';

/** A client's idempotency key is answered for at least this long. */
export const REQUEST_KEEP_MS = 60 * 60 * 1000;
/** Kept beyond it, for clocks that are off by as much. */
const REQUEST_CLOCK_MARGIN_MS = 60 * 60 * 1000;
/**
 * Of clients' keys. At some 60 bytes each they are a small part of what a value may hold; beyond it a change is refused, for
 * to forget one early would apply it twice.
 */
export const REQUESTS_MAX = 1000;
export const REQUEST_ID_LENGTH_MAX = 32;
/**
 * A client's id begins with so many characters that stand for its idempotency key. The others, up to the full length, stand
 * for what it asked for under that key. Shorter ids are from before that was kept, and go with whatever is asked.
 */
export const CLIENTS_KEY_LENGTH = 20;
/**
 * A change without a client's key is remembered until its proposer makes its next one, and by others while fewer than this
 * many versions stand above it: so there is one of each proposer at most. A proposer in doubt about its own change that finds
 * more versions than that cannot know any more (`mayBeForgotten`).
 */
export const OWN_REQUEST_VERSIONS = 64;

/** What was applied under the idempotency key of this id. */
export function appliedUnderKey(current: RegisterValue | null, clientsId: string): AppliedRequest | undefined {
  const key = clientsId.slice(0, CLIENTS_KEY_LENGTH);
  return current?.requests.find(({ id, isClients }) => isClients && id.slice(0, CLIENTS_KEY_LENGTH) === key);
}

/** Whether two ids of one idempotency key may stand for the same request. */
export function mayBeSame(left: string, right: string): boolean {
  return left === right || left.length < REQUEST_ID_LENGTH_MAX || right.length < REQUEST_ID_LENGTH_MAX;
}

/** What was applied under the name that its proposer gave. */
export function appliedUnderName(current: RegisterValue | null, ownId: string): AppliedRequest | undefined {
  return current?.requests.find(({ id, isClients }) => !isClients && id === ownId);
}

/** What of the requests the next value carries on. */
export function keptRequests(
  current: RegisterValue | null,
  proposer: ProposerId,
  agreedMs: number | null,
): readonly AppliedRequest[] {
  if (!current) return [];
  const { version, requests } = current;
  const lifeText = `${lifeOf(proposer)}/`;
  return requests.filter((request) =>
    request.isClients
      ? !isOutdated(request, agreedMs)
      : version + 1 - request.version < OWN_REQUEST_VERSIONS && !request.id.startsWith(lifeText),
  );
}

/**
 * Only the operation that made the request asks for this name again, and operations of one proposer on one register go one
 * after another: so with its next change a proposer may forget all its own before.
 */
export function ownRequestId(proposer: ProposerId, round: number): string {
  return `${lifeOf(proposer)}/${round}`;
}

/** The random part. */
function lifeOf(proposer: ProposerId): string {
  return proposer.slice(proposer.lastIndexOf('/') + 1);
}

function isOutdated({ timeMs }: AppliedRequest, agreedMs: number | null): boolean {
  return agreedMs !== null && timeMs + REQUEST_KEEP_MS + REQUEST_CLOCK_MARGIN_MS < agreedMs;
}

/** How many of a client's requests could be forgotten, were this the time. */
export function outdatedRequests(value: RegisterValue, wallMs: number): number {
  let count = 0;
  for (const request of value.requests) if (request.isClients && isOutdated(request, wallMs)) count += 1;
  return count;
}

/**
 * Whether a request that may have made `version` could have been forgotten by the time of `current`. Then its absence from
 * the requests proves nothing, and it must not be applied again.
 */
export function mayBeForgotten(current: RegisterValue | null, version: number): boolean {
  return current !== null && current.version - version >= OWN_REQUEST_VERSIONS;
}
