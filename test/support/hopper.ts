import { setTimeout as sleep } from 'node:timers/promises';
import { type Demo, REGIONS } from './demo.ts';
import { ask } from './http.ts';

export interface Hops {
  /** Reads that answered, and of these those that came from another region than the write. */
  reads: number;
  elsewhere: number;
  /** Requests that were not served: a session that no reachable replica covers. */
  unserved: number;
  readonly faults: string[];
}

const PAUSE_MS = 20;

/** One client that carries its session from region to region, and never may read less than it has written. */
export async function hop(demo: Demo, name: string, hops: Hops, isOver: () => boolean): Promise<void> {
  let session: string | undefined;
  let round = 0;
  for (let count = 1; !isOver(); count++) {
    const key = `session:${name}:${round}`;
    const writer = REGIONS[(count * 7 + round) % REGIONS.length];
    const reader = REGIONS[(count * 5 + 1) % REGIONS.length];
    if (!writer || !reader) throw new Error('no region');
    const send = (region: typeof writer, body?: object) =>
      ask(`${demo.urls[region]}/kv/${key}?consistency=session`, {
        method: body ? 'PUT' : 'GET',
        headers: { 'meridian-session': session, 'meridian-timeout': '1500' },
        ...(body ? { body } : {}),
      }).catch(() => undefined);
    const written = await send(writer, { value: count });
    if (!written || written.status >= 400) {
      hops.unserved++;
      // It may have been written all the same: what this key should show is not known any more.
      round++;
      await sleep(PAUSE_MS);
      continue;
    }
    session = written.headers.get('meridian-session') ?? session;
    const read = await send(reader);
    if (!read || read.status >= 500) hops.unserved++;
    else {
      hops.reads++;
      if (reader !== writer) hops.elsewhere++;
      if (read.status !== 200 || read.body?.value !== count || read.body.conflict !== false)
        hops.faults.push(`${key}: ${count} written at ${writer}, ${JSON.stringify(read.body)} read at ${reader}`);
      session = read.headers.get('meridian-session') ?? session;
    }
    await sleep(PAUSE_MS);
  }
}
