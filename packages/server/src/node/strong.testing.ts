import { onCluster, optionsOf, type Regions, type TestCluster, valuesOf } from './cluster.testing.ts';
import type { NamespaceChange, ReadAnswer, RequestOptions, WriteAnswer, WriteConditions } from './service.ts';

/** The namespace of mode strong that these tests work in. */
export const EXACT = 'exact';
const encoder = new TextEncoder();

/** The calls of clients in the namespace, at its own level where they name no other. */
export class StrongClients {
  readonly cluster: TestCluster;

  constructor(cluster: TestCluster) {
    this.cluster = cluster;
  }

  async read(node: string, key: string, more: Partial<RequestOptions> = {}): Promise<ReadAnswer> {
    return this.cluster.node(node).get(EXACT, key, strongOptions(more));
  }

  /** The value; `undefined` where there is none. */
  async get(node: string, key: string, more: Partial<RequestOptions> = {}): Promise<string | undefined> {
    return valuesOf(await this.read(node, key, more))[0];
  }

  /** What the nearest replica knows to be chosen. */
  relaxed(node: string, key: string): Promise<string | undefined> {
    return this.get(node, key, { level: 'eventual', isDefaultLevel: false });
  }

  put(
    node: string,
    key: string,
    value: string,
    conditions?: WriteConditions,
    more: Partial<RequestOptions> & { ttlSeconds?: number; context?: string } = {},
  ): Promise<WriteAnswer> {
    const { ttlSeconds, context, ...rest } = more;
    const body = { body: encoder.encode(value), contentType: 'text/plain', ttlSeconds };
    return this.cluster.node(node).put(EXACT, key, body, context, strongOptions({ ...rest, conditions }));
  }

  create(node: string, key: string, value: string, conditions?: WriteConditions): Promise<WriteAnswer> {
    const body = { body: encoder.encode(value), contentType: 'text/plain' };
    return this.cluster.node(node).create(EXACT, key, body, strongOptions({ conditions }));
  }

  delete(node: string, key: string, conditions?: WriteConditions): Promise<WriteAnswer> {
    return this.cluster.node(node).delete(EXACT, key, undefined, strongOptions({ conditions }));
  }
}

export function strongOptions(more: Partial<RequestOptions> = {}): RequestOptions {
  return optionsOf({ level: 'eventual', isDefaultLevel: true, ...more });
}

/** Runs `play` on a cluster that has the namespace, known to all its nodes. */
export function onStrongCluster(
  regions: Regions,
  change: NamespaceChange,
  play: (clients: StrongClients, cluster: TestCluster) => Promise<void>,
): Promise<void> {
  return onCluster(regions, async (cluster) => {
    const [first] = cluster.simulated.members;
    await cluster.node(first?.name ?? '').putNamespace(EXACT, { mode: 'strong', ...change }, optionsOf());
    await cluster.settle();
    await play(new StrongClients(cluster), cluster);
  });
}

/** Of a tag, as `If-Match` has it. */
export function matching({ head }: { readonly head: { readonly etag: string } }): WriteConditions {
  return { ifMatch: `"${head.etag}"` };
}
