import { MeridianError } from '@meridian/core/wire/errors';
import type { MeridianNode } from '@meridian/server/node/node';
import type { Level, RequestOptions, WriteConditions } from '@meridian/server/node/service';
import { InvariantBroken } from './invariant-broken.ts';
import type { Member } from './member.ts';
import type { SimulatedCluster } from './simulated-cluster.ts';
import type { Trace } from './trace.ts';

export const TIMEOUT_MS = 3_000;

/** What came of a request. `unknown`: it may have taken effect, or may yet. */
export type Told<Answer> =
  | { readonly kind: 'answered'; readonly answer: Answer }
  | { readonly kind: 'refused'; readonly code: string }
  | { readonly kind: 'unknown' };

/** How clients of a simulated cluster ask, and what they can tell of it. */
export class Requests {
  readonly #cluster: SimulatedCluster;
  readonly #trace: Trace;
  readonly counts = { unknown: 0, refused: 0 };
  #count = 0;

  constructor(cluster: SimulatedCluster, trace: Trace) {
    this.#cluster = cluster;
    this.#trace = trace;
  }

  /** Values and requests get numbers that no others have. */
  next(): number {
    this.#count += 1;
    return this.#count;
  }

  options(level: Level, session?: string, conditions?: WriteConditions, timeoutMs = TIMEOUT_MS): RequestOptions {
    return { requestId: `r${this.next()}`, level, timeoutMs, session, conditions };
  }

  /** The answer, or why there is none: a refusal, or silence (a crash, a doubtful outcome). */
  async ask<Answer>(member: Member, request: (node: MeridianNode) => Promise<Answer>): Promise<Told<Answer>> {
    const { process } = member;
    if (!process) return { kind: 'refused', code: 'DOWN' };
    const silence = this.#cluster.time.sleep(TIMEOUT_MS * 2).then(() => undefined);
    // A process that is stopped takes no request in before it goes on.
    const answered = new Promise<{ readonly answer: Answer }>((resolve, reject) => {
      process.clock.whenAwake(() => {
        request(process.node).then((answer) => resolve({ answer }), reject);
      });
    });
    try {
      const told = await Promise.race([answered, silence]);
      if (told) return { kind: 'answered', answer: told.answer };
      answered.catch(() => undefined);
      this.counts.unknown += 1;
      return { kind: 'unknown' };
    } catch (error) {
      return this.#told(member, error);
    }
  }

  #told(member: Member, error: unknown): Told<never> {
    if (!(error instanceof MeridianError)) throw error;
    const { code } = error;
    this.#trace.add(`${this.#cluster.time.nowMs} ${member.name} ${code}`);
    if (code === 'INTERNAL') throw new InvariantBroken(11, `an internal error at ${member.name}: ${error.message}`);
    this.counts[code === 'OUTCOME_UNKNOWN' ? 'unknown' : 'refused'] += 1;
    return code === 'OUTCOME_UNKNOWN' ? { kind: 'unknown' } : { kind: 'refused', code };
  }
}
