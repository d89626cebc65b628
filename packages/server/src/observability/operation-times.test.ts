import { describe, expect, it } from 'vitest';
import { Metrics } from './metrics.ts';

describe('the times of operations', () => {
  it('are a histogram and a counter that Prometheus reads', async () => {
    const metrics = new Metrics({ node: 'us-1' });
    metrics.meter.operation('get', 'eventual', 'ok', 0.2);
    metrics.meter.operation('get', 'eventual', 'ok', 3);
    metrics.meter.operation('get', 'eventual', 'KEY_NOT_FOUND', 99_999);
    metrics.meter.operation('put', 'quorum', 'ok', 100);
    const text = await metrics.text();
    expect(text).toContain('# TYPE meridian_operation_seconds histogram');
    expect(text).toContain(
      'meridian_operation_seconds_bucket{le="0.0001",operation="get",level="eventual",node="us-1"} 0',
    );
    expect(text).toContain(
      'meridian_operation_seconds_bucket{le="0.00025",operation="get",level="eventual",node="us-1"} 1',
    );
    expect(text).toContain(
      'meridian_operation_seconds_bucket{le="0.005",operation="get",level="eventual",node="us-1"} 2',
    );
    expect(text).toContain(
      'meridian_operation_seconds_bucket{le="+Inf",operation="get",level="eventual",node="us-1"} 3',
    );
    expect(text).toContain('meridian_operation_seconds_count{operation="get",level="eventual",node="us-1"} 3');
    expect(text).toContain('meridian_operation_seconds_bucket{le="0.1",operation="put",level="quorum",node="us-1"} 1');
    expect(text).toContain(
      'meridian_operations_total{operation="get",level="eventual",outcome="KEY_NOT_FOUND",node="us-1"} 1',
    );
    expect(text).toContain('meridian_operations_total{operation="get",level="eventual",outcome="ok",node="us-1"} 2');
  });

  it('stand in the metrics as JSON too', async () => {
    const metrics = new Metrics({});
    metrics.meter.operation('get', 'eventual', 'ok', 1);
    const families = (await metrics.json()) as { name: string; values: { value: number }[] }[];
    expect(families.find(({ name }) => name === 'meridian_operations_total')?.values).toMatchObject([{ value: 1 }]);
  });
});
