import type { Part } from './part.ts';
import { besideBareRoute, loadSides, rateFigure } from './throughput.ts';

const CONNECTIONS = 64;
const TARGET = { atLeast: 0.7 };

export const getPart: Part = (context) =>
  besideBareRoute(context, async (node, bare) => {
    context.say(`GET at ${CONNECTIONS} connections`);
    const { meridian, route } = await loadSides(context, {
      meridian: { servers: [node], kind: 'get', connections: CONNECTIONS },
      route: { servers: [bare], kind: 'get', connections: CONNECTIONS },
    });
    const beside = { what: 'bare GET route', results: route };
    return [rateFigure('get', `GET, ${CONNECTIONS} connections`, meridian, beside, TARGET)];
  });
