import { startDemo, startNode } from '../servers.ts';
import type { Part } from './part.ts';
import { fill, loadSides, rateFigure } from './throughput.ts';

const CONNECTIONS = 64;
const TARGET = { atLeast: 0.5 };

/** All three regions and the load generator share this machine: each write is made three times on it. */
export const regionsPart: Part = async (context) => {
  const node = await startNode(context.session);
  const demo = await startDemo(context.session, false);
  try {
    await fill(node.url);
    await fill(demo.url['us-east']);
    context.say(`PUT at ${CONNECTIONS} connections in three regions`);
    const { regions, single } = await loadSides(context, {
      regions: {
        servers: [{ url: demo.url['us-east'], pid: demo.pid('us-east') }],
        kind: 'put',
        connections: CONNECTIONS,
      },
      single: { servers: [node], kind: 'put', connections: CONNECTIONS },
    });
    const beside = { what: 'PUT, single node', results: single };
    return [rateFigure('regions', `PUT, ${CONNECTIONS} connections, 3 regions, no WAN`, regions, beside, TARGET)];
  } finally {
    await Promise.all([node.stop(), demo.stop()]);
  }
};
