import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type {
  FastifyBaseLogger,
  FastifyInstance,
  RawReplyDefaultExpression,
  RawRequestDefaultExpression,
  RawServerDefault,
} from 'fastify';
import type { Service } from '../node/service.ts';
import type { Log } from '../ports/log.ts';
import type { HttpLimits } from './limits.ts';
import type { UnsentAnswers } from './unsent-answers.ts';

export interface MetricsSource {
  /** In the Prometheus format. */
  text(): Promise<string>;
  readonly contentType: string;
  json(): Promise<unknown>;
}

/** A change of the emulated links of this node. */
export interface WanChange {
  readonly split?: readonly (readonly [string, string])[];
  readonly oneWay?: boolean;
  readonly heal?: true;
  /** `region|region` -> round trip in milliseconds. */
  readonly rtt?: Readonly<Record<string, number>>;
  /** Share of messages lost, 0 to 0.9. */
  readonly loss?: number;
}

export interface WanLab {
  status(): unknown;
  /** Does it, or says in one sentence why not. */
  apply(change: WanChange): string | undefined;
}

/** What all routes of one server share. */
export interface Site {
  readonly service: Service;
  readonly metrics: MetricsSource;
  readonly wan: WanLab | undefined;
  readonly limits: HttpLimits;
  readonly unsent: UnsentAnswers;
  readonly log: Log;
  readonly regions: readonly string[];
  /** Set once, by `stop`: every answer from then on closes its connection. */
  isStopping: boolean;
}

export type App = FastifyInstance<
  RawServerDefault,
  RawRequestDefaultExpression,
  RawReplyDefaultExpression,
  FastifyBaseLogger,
  TypeBoxTypeProvider
>;
