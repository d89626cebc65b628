import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { checkAllLinearizable } from '../histories/check.ts';
import { checkCounters } from '../histories/counters.ts';
import type { Finding } from '../histories/finding.ts';
import { historyText } from '../histories/history.ts';
import { casRegisterModel, registerModel } from '../histories/model.ts';
import { type Operation, operationsOf } from '../histories/operation.ts';
import { Recorder } from '../histories/recorder.ts';
import { checkConverged, checkSessions } from '../histories/sessions.ts';
import { checkSets } from '../histories/sets.ts';
import { checkTags } from '../histories/tags.ts';

/**
 * What a region acknowledges at level `session` is on its own disk, and on its way to the others. Of what it acknowledged so
 * shortly before its disk was lost, nobody can say whether it was sent.
 */
const UNSENT_MS = 250;

/** What no client should ever be told. */
const FAULTS: ReadonlySet<string> = new Set(['INTERNAL', '500']);

interface DiskLost {
  readonly node: string;
  readonly atMs: number;
}

/** The histories of one mix, one of each kind of client. */
export class Histories {
  readonly registers: Recorder;
  readonly plainRegisters: Recorder;
  readonly counters: Recorder;
  readonly sets: Recorder;
  readonly sessions: Recorder;
  /** What was read in every region once all was quiet. */
  readonly quiet: Recorder;

  readonly #disksLost: DiskLost[] = [];

  constructor(nowMs: () => number) {
    this.registers = new Recorder(nowMs);
    this.plainRegisters = new Recorder(nowMs);
    this.counters = new Recorder(nowMs);
    this.sets = new Recorder(nowMs);
    this.sessions = new Recorder(nowMs);
    this.quiet = new Recorder(nowMs);
  }

  diskLost(node: string, atMs: number): void {
    this.#disksLost.push({ node, atMs });
  }

  /** Whatever is broken, a node says what of it concerns the request: it never just fails. */
  #dishonestAnswers(): readonly Finding[] {
    const failed = this.all.flatMap(([, { events }]) => events.filter(({ error }) => error && FAULTS.has(error)));
    return failed.map(({ key, f, error, time }) => ({
      check: 'answers',
      key,
      text: `${f} was answered ${error} after ${Math.round(time)} ms`,
    }));
  }

  /** Those of the session clients, in eventual namespaces: writes that may be lost with a disk are open. */
  get sessionOperations(): readonly Operation[] {
    return operationsOf(this.sessions.events).map((one) => (this.#mayBeLost(one) ? { ...one, outcome: 'open' } : one));
  }

  #mayBeLost({ f, at, outcome, returnedMs }: Operation): boolean {
    if (f !== 'write' || outcome !== 'ok') return false;
    return this.#disksLost.some(
      ({ node, atMs }) => node === at && returnedMs >= atMs - UNSENT_MS && returnedMs <= atMs + UNSENT_MS,
    );
  }

  get all(): readonly (readonly [string, Recorder])[] {
    return [
      ['registers', this.registers],
      ['plain-registers', this.plainRegisters],
      ['counters', this.counters],
      ['sets', this.sets],
      ['sessions', this.sessions],
      ['quiet', this.quiet],
    ];
  }

  /** Operations by how they ended. What counters and sets do is counted as requests to registers, and not again. */
  counts(): { readonly ok: number; readonly fail: number; readonly info: number } {
    const events = [this.registers, this.plainRegisters, this.sessions].flatMap((recorder) => recorder.events);
    const count = (type: string) => events.filter((event) => event.type === type).length;
    return { ok: count('ok'), fail: count('fail'), info: count('info') };
  }

  async write(folder: string, comments: readonly string[]): Promise<void> {
    await mkdir(folder, { recursive: true });
    for (const [name, { events }] of this.all)
      await writeFile(
        join(folder, `${name}.ndjson`),
        historyText({ comments: [`${name}: ${comments[0]}`, ...comments.slice(1)], events }),
      );
  }

  /** Every check by its name, and what it found. */
  check(): readonly (readonly [string, readonly Finding[]])[] {
    const of = (recorder: Recorder): readonly Operation[] => operationsOf(recorder.events);
    const registers = of(this.registers);
    const sessions = this.sessionOperations;
    return [
      ['linearizable', checkAllLinearizable(registers, casRegisterModel)],
      ['tags', checkTags(registers)],
      ['linearizable at level strong', checkAllLinearizable(of(this.plainRegisters), registerModel)],
      ['counter', checkCounters(of(this.counters))],
      ['set', checkSets(of(this.sets))],
      ['sessions', checkSessions(sessions)],
      ['convergence', checkConverged(sessions, of(this.quiet))],
      ['answers', this.#dishonestAnswers()],
    ];
  }
}
