import { measureFdatasyncMs } from '../fdatasync.ts';
import { type Figure, figure } from '../figure.ts';
import type { Server } from '../servers.ts';
import { interleave, median } from '../statistics.ts';
import { KEYS } from '../workload.ts';
import type { Part, PartContext } from './part.ts';
import { besideBareRoute, loadSides, rateFigure } from './throughput.ts';

const TARGETS: readonly (readonly [number, number])[] = [
  [64, 0.3],
  [256, 0.4],
];
/** At most 0.6 ms where one fdatasync takes 0.19 ms. */
const LATENCY_TARGET = { atMost: 0.6 / 0.19 };
const WARM_UP_SECONDS = 1;

export const putPart: Part = (context) =>
  besideBareRoute(context, async (node, bare) => {
    const figures: Figure[] = [];
    for (const [connections, atLeast] of TARGETS) {
      figures.push(...(await putFigures(context, node, bare, connections, atLeast)));
    }
    return [...figures, await latencyFigure(context, node)];
  });

async function putFigures(
  context: PartContext,
  node: Server,
  bare: Server,
  connections: number,
  atLeast: number,
): Promise<readonly Figure[]> {
  context.say(`durable PUT at ${connections} connections`);
  const { meridian, get, put } = await loadSides(context, {
    meridian: { servers: [node], kind: 'put', connections },
    get: { servers: [bare], kind: 'get', connections },
    put: { servers: [bare], kind: 'put', connections },
  });
  const what = `PUT, ${connections} connections, ${KEYS.toLocaleString('en')} keys`;
  return [
    rateFigure('put', what, meridian, { what: 'bare GET route', results: get }, { atLeast }),
    rateFigure('put', what, meridian, { what: 'bare PUT route', results: put }, undefined),
  ];
}

async function latencyFigure({ session, options, load, say }: PartContext, node: Server): Promise<Figure> {
  say('durable PUT at one connection');
  const side = { urls: [node.url], kind: 'put', connections: 1 } as const;
  await load.run({ ...side, seconds: WARM_UP_SECONDS });
  const { puts, syncs } = await interleave(options.rounds, {
    puts: async () => (await load.run({ ...side, seconds: options.loadSeconds })).medianMs,
    syncs: async () => measureFdatasyncMs(session.folder),
  });
  return figure({
    part: 'put',
    what: 'PUT, one connection, median',
    unit: 'ms',
    measured: median(puts),
    beside: { what: 'one fdatasync, same disk', value: median(syncs) },
    target: LATENCY_TARGET,
  });
}
