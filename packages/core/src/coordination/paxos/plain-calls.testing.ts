import { EMPTY_VECTOR } from '../../causality/version-vector.ts';
import type { ChangeRequest, Condition } from './change.ts';
import type { PlainAnswer, PlainCall } from './linearizable.testing.ts';
import type { OperationResult } from './operation.ts';
import type { RegisterValue } from './register.ts';

const TTL_MS = 300;

/** What the core is asked for, where users make this call. */
export function requestOf(call: Exclude<PlainCall, { op: 'read' }>, clientsId: string | null): ChangeRequest {
  const condition: Condition =
    call.op === 'create'
      ? { kind: 'absent' }
      : call.op === 'replace'
        ? { kind: 'versions', versions: [call.version] }
        : { kind: 'always' };
  return {
    clientsId,
    body: call.op === 'delete' ? null : new TextEncoder().encode(call.token),
    contentType: 'text/plain',
    ttlMs: 'expires' in call && call.expires ? TTL_MS : null,
    session: EMPTY_VECTOR,
    condition,
  };
}

export function answerOf(result: OperationResult): PlainAnswer | undefined {
  if (result.kind === 'unknown') return undefined;
  if (result.kind === 'read')
    return { kind: 'read', version: result.value?.version ?? 0, found: tokenOf(result.value) };
  const { kind, version, existed } = result.verdict;
  if (kind === 'too-many-requests' || kind === 'key-reused') return undefined;
  return { kind: kind === 'repeated' ? 'changed' : kind, version, found: existed };
}

function tokenOf(value: RegisterValue | null): string | null {
  return value?.body ? new TextDecoder().decode(value.body) : null;
}

export function valueText(value: RegisterValue | null): string {
  return value ? `${value.version} ${tokenOf(value)} of ${value.writer}` : 'nothing';
}
