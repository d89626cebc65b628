import type { Meter } from '../ports/meter.ts';

/** Milliseconds: from a read in memory to a request that waits for the far side of the world. */
const BUCKETS_MS = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000];

interface Times {
  /** One more than there are bounds: the last is for what takes longer. */
  readonly counts: number[];
  sumMs: number;
  readonly outcomes: Map<string, number>;
}

interface Sample {
  readonly metricName?: string;
  readonly labels: Readonly<Record<string, string | number>>;
  readonly value: number;
}

interface MetricFamily {
  readonly name: string;
  readonly help: string;
  readonly type: 'histogram' | 'counter';
  readonly values: readonly Sample[];
  readonly aggregator: 'sum';
}

/**
 * How long operations take, and how they end, as plain counts: it is on the path of every request, where the library's
 * histogram, which looks labels up for each observation, took a tenth of a read.
 */
export class OperationTimes implements Meter {
  readonly #byKind = new Map<string, Map<string, Times>>();

  operation(kind: string, level: string, outcome: string, tookMs: number): void {
    const times = this.#timesOf(kind, level);
    let bucket = 0;
    while (bucket < BUCKETS_MS.length && tookMs > (BUCKETS_MS[bucket] as number)) bucket++;
    times.counts[bucket] = (times.counts[bucket] as number) + 1;
    times.sumMs += tookMs;
    times.outcomes.set(outcome, (times.outcomes.get(outcome) ?? 0) + 1);
  }

  #timesOf(kind: string, level: string): Times {
    let byLevel = this.#byKind.get(kind);
    if (!byLevel) {
      byLevel = new Map();
      this.#byKind.set(kind, byLevel);
    }
    let times = byLevel.get(level);
    if (!times) {
      times = { counts: BUCKETS_MS.map(() => 0).concat(0), sumMs: 0, outcomes: new Map() };
      byLevel.set(level, times);
    }
    return times;
  }

  #each<Result>(make: (labels: { operation: string; level: string }, times: Times) => Result[]): Result[] {
    return [...this.#byKind].flatMap(([operation, byLevel]) =>
      [...byLevel].flatMap(([level, times]) => make({ operation, level }, times)),
    );
  }

  /** In the form of the metrics library. */
  families(): readonly MetricFamily[] {
    return [
      {
        name: 'meridian_operation_seconds',
        help: 'Time that key operations took at their coordinator',
        type: 'histogram',
        aggregator: 'sum',
        values: this.#each(histogramOf),
      },
      {
        name: 'meridian_operations_total',
        help: 'Key operations by outcome: ok, or the code of the error',
        type: 'counter',
        aggregator: 'sum',
        values: this.#each((labels, { outcomes }) =>
          [...outcomes].map(([outcome, value]) => ({ labels: { ...labels, outcome }, value })),
        ),
      },
    ];
  }
}

function histogramOf(labels: Readonly<Record<string, string>>, { counts, sumMs }: Times): Sample[] {
  const name = 'meridian_operation_seconds';
  let total = 0;
  const buckets = counts.map((count, at): Sample => {
    total += count;
    const boundMs = BUCKETS_MS[at];
    return {
      metricName: `${name}_bucket`,
      labels: { le: boundMs === undefined ? '+Inf' : boundMs / 1000, ...labels },
      value: total,
    };
  });
  return [
    ...buckets,
    { metricName: `${name}_sum`, labels, value: sumMs / 1000 },
    { metricName: `${name}_count`, labels, value: total },
  ];
}
