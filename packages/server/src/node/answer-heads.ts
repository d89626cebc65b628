import type { VersionVector } from '@meridian/core/causality/version-vector';
import type { SessionToken } from '@meridian/core/coordination/session';
import type { NodeName, RecordKey, RegionName, StoreId } from '@meridian/core/ids';
import type { Clock } from '../ports/clock.ts';
import { round } from './rounded.ts';
import type { AnswerHead, Hop, Level, Receipt } from './service.ts';
import type { Tokens } from './tokens.ts';

/** Who served a request, and how. */
export interface Served {
  readonly node: NodeName;
  readonly region: RegionName;
  readonly store: StoreId;
  readonly asked: number;
  readonly answered: number;
  readonly hops: readonly Hop[];
  /** Rounds of questions to other replicas, one after another. */
  readonly rounds: number;
}

/** What an answer has seen. */
export interface Seen {
  readonly key: RecordKey;
  readonly vector: VersionVector;
  readonly token: SessionToken;
  readonly stalenessMs: number | null;
  /** Where it is not that of the context. */
  readonly etag?: string;
}

/** Makes what goes with every answer about a key: context, tag, session token, receipt. */
export class AnswerHeads {
  readonly #tokens: Tokens;
  readonly #clock: Clock;

  constructor(tokens: Tokens, clock: Clock) {
    this.#tokens = tokens;
    this.#clock = clock;
  }

  of(seen: Seen, served: Served, level: Level, startedAtMs: number): AnswerHead {
    const context = this.#tokens.context(seen.key, seen.vector);
    const receipt: Receipt = {
      region: served.region,
      node: served.node,
      store: served.store,
      level,
      replicasAsked: served.asked,
      replicasAnswered: served.answered,
      rounds: served.rounds,
      hops: served.hops,
      tookMs: round(this.#clock.monotonicMs() - startedAtMs),
      stalenessMs: seen.stalenessMs,
    };
    const etag = seen.etag ?? this.#tokens.etag(context);
    return { context, etag, session: this.#tokens.session(seen.token), receipt };
  }
}
