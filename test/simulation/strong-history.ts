import { checkAllLinearizable } from '../histories/check.ts';
import { OBSERVATIONS } from '../histories/event.ts';
import { showOperation } from '../histories/explain.ts';
import { casRegisterModel } from '../histories/model.ts';
import { byKey, type Operation, operationsOf } from '../histories/operation.ts';
import { Recorder } from '../histories/recorder.ts';
import { checkTags } from '../histories/tags.ts';
import { InvariantBroken } from './invariant-broken.ts';

/** More steps than any history of a run that is in order has been seen to take, by far. */
const STEPS_MAX = 4_000_000;

/** One operation of a client, as it is taken down. */
export interface Doing {
  readonly f: 'read' | 'relaxed-read' | 'write' | 'create' | 'cas' | 'delete' | 'cas-delete';
  readonly key: string;
  readonly value?: unknown;
  readonly at: string;
  /** The value may go at any time by itself. */
  readonly expires?: boolean;
}

export interface Underway {
  ok(value: unknown, tag?: string): void;
  /** A refusal because of what the key holds is an observation; any other tells that nothing happened. */
  failed(code: string): void;
  unknown(): void;
}

/** What clients did at level `strong` and in namespaces of mode strong, key by key, and whether one order explains it (invariant 3). */
export class StrongHistory {
  readonly #recorder: Recorder;

  constructor(nowMs: () => number) {
    this.#recorder = new Recorder(nowMs);
  }

  get events() {
    return this.#recorder.events;
  }

  /**
   * A change that is told whether something was there. Registers of Attiya, Bar-Noy and Dolev only read and write: so one
   * that is done is a write, whatever was there, and one that is refused is a read, whose answer holds like any other.
   */
  beginBlind({ key, value, at }: Omit<Doing, 'f'>): Underway {
    const write = this.begin({ f: 'write', key, value, at });
    const refusal = this.begin(value === null ? { f: 'delete', key, at } : { f: 'create', key, value, at });
    return {
      ok: (result, tag) => {
        write.ok(result, tag);
        refusal.failed('DONE');
      },
      failed: (code) => {
        write.failed('REFUSED');
        refusal.failed(code);
      },
      unknown: () => {
        write.unknown();
        refusal.failed('UNKNOWN');
      },
    };
  }

  begin({ f, key, value, at, expires }: Doing): Underway {
    // Each its own process: what is told of one is told of no other.
    const complete = this.#recorder.invoke(this.#recorder.newProcess(), { f, key, value: value ?? null, at });
    if (expires) this.#recorder.invoke(this.#recorder.newProcess(), { f: 'cas-delete', key, value, at: 'its expiry' });
    return {
      ok: (result, tag) => complete({ type: 'ok', value: result, tag }),
      failed: (code) => complete({ type: 'fail', error: code }),
      unknown: () => complete({ type: 'info' }),
    };
  }

  check(): void {
    const told = operationsOf(this.#recorder.events);
    const operations = [...told, ...told.flatMap((operation) => shownAgain(operation, told))];
    operations.sort((left, right) => left.calledAt - right.calledAt);
    for (const [key, ofKey] of byKey(operations)) checkVersions(key, ofKey);
    for (const { check, key, text } of [
      ...checkTags(operations),
      ...checkAllLinearizable(operations, casRegisterModel, { stepsMax: STEPS_MAX }),
    ])
      throw new InvariantBroken(3, `${key}, ${check}: ${text}`);
  }
}

/**
 * What a blind delete may leave, as writes that may yet come: it takes away what it has seen, and a value that was written at
 * the same moment, and had been replaced before it was seen, may show again (docs/guide/consistency.md).
 */
function shownAgain(
  { f, input, outcome, key, calledAt, returnedAt }: Operation,
  told: readonly Operation[],
): Operation[] {
  if (f !== 'write' || input !== null || outcome === 'failed') return [];
  const beside = told.filter(
    (other) =>
      other.key === key &&
      other.f === 'write' &&
      other.outcome !== 'failed' &&
      other.input !== null &&
      other.calledAt < returnedAt &&
      other.returnedAt > calledAt,
  );
  return beside.map((write) => ({
    ...write,
    outcome: 'open',
    calledAt: Math.max(calledAt, write.calledAt),
    returnedAt: Number.POSITIVE_INFINITY,
    returnedMs: Number.POSITIVE_INFINITY,
  }));
}

/** Versions of a register, of answers that name them: what began after another had ended never sees less, and a change more. */
function checkVersions(key: string, operations: readonly Operation[]): void {
  const named = operations.filter(
    ({ tag, f, outcome }) => outcome === 'ok' && f !== 'relaxed-read' && versionOf(tag) !== undefined,
  );
  const byReturn = [...named].sort((left, right) => left.returnedAt - right.returnedAt);
  let highest: Operation | undefined;
  let at = 0;
  for (const operation of named) {
    for (; at < byReturn.length; at++) {
      const other = byReturn[at] as Operation;
      if (other.returnedAt > operation.calledAt) break;
      if (!highest || (versionOf(other.tag) ?? 0) > (versionOf(highest.tag) ?? 0)) highest = other;
    }
    const version = versionOf(operation.tag) ?? 0;
    const least = highest ? (versionOf(highest.tag) ?? 0) + (operation.f === 'read' ? 0 : 1) : 0;
    if (highest && version < least)
      throw new InvariantBroken(
        3,
        `${key}: ${showOperation(operation)} is of version ${version}, after ${showOperation(highest)} of version ${versionOf(highest.tag)}`,
      );
  }
}

/** Of the entity tags of registers; those of other records name no version. */
function versionOf(tag: string | undefined): number | undefined {
  const version = /^v(\d+)\./.exec(tag ?? '')?.[1];
  return version === undefined ? undefined : Number(version);
}

export function isObservationCode(code: string): boolean {
  return OBSERVATIONS.has(code);
}
