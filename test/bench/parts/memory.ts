import { setTimeout as sleep } from 'node:timers/promises';
import { type Figure, figure } from '../figure.ts';
import { HttpClient } from '../http-client.ts';
import { peakMemory, residentMemory } from '../resident-memory.ts';
import { type Demo, type Region, startDemo, startNode } from '../servers.ts';
import { keysHeld, Wan } from '../wan.ts';
import { writeKeys } from '../workload.ts';
import type { Part, PartContext } from './part.ts';

const FROM: Region = 'us-east';
const AWAY: Region = 'ap-northeast';
const IDLE_MIB_MAX = 130;
const IDLE_AFTER_MS = 3_000;
const DRAIN_MS_MAX = 60_000;
const POLL_MS = 50;
/** A backlog twice as long may not cost more than this: what a garbage collector makes of the same work varies so much. */
const GROWTH_MAX = 1.25;

export const memoryPart: Part = async (context) => [await idleFigure(context), ...(await backlogFigures(context))];

async function idleFigure({ session, say }: PartContext): Promise<Figure> {
  say('memory of an idle node');
  const node = await startNode(session);
  try {
    await sleep(IDLE_AFTER_MS);
    const { allMiB, ownMiB } = residentMemory(node.pid);
    return figure({
      part: 'memory',
      what: 'memory, idle node',
      unit: 'MiB',
      measured: allMiB,
      beside: { what: 'wanted at most', value: IDLE_MIB_MAX },
      target: { atMost: 1 },
      note: `${IDLE_AFTER_MS / 1_000} s after its start; of it ${ownMiB.toFixed(0)} MiB are its own, the others mapped files`,
    });
  } finally {
    await node.stop();
  }
}

/** The first half of the keys shows what the load alone needs; if the backlog were kept in memory, the second would need more. */
async function backlogFigures({ session, options, say }: PartContext): Promise<readonly Figure[]> {
  const demo = await startDemo(session, true);
  const http = new HttpClient(8);
  try {
    const wan = await Wan.of(http, demo);
    const pid = demo.pid(FROM);
    const half = Math.floor(options.backlogKeys / 2);
    say(`memory under a backlog of ${options.backlogKeys} keys`);
    await wan.splitOff(AWAY);
    const write = (prefix: string) => peakMemory(pid, () => writeKeys(http, demo.url[FROM], prefix, half));
    const first = await write('first-');
    const second = await write('second-');
    const drain = await peakMemory(pid, async () => {
      await wan.heal();
      await drained(http, demo);
    });
    const keys = (count: number) => `${count.toLocaleString('en')} keys behind`;
    const beside = { what: `peak with ${keys(half)}`, value: first.ownMiB };
    const common = { part: 'memory', unit: 'MiB', beside, target: { atMost: GROWTH_MAX } } as const;
    const note = (allMiB: number) => `own memory; ${allMiB.toFixed(0)} MiB with the store's mapped pages`;
    return [
      figure({
        ...common,
        what: `memory, peak, ${keys(2 * half)}`,
        measured: second.ownMiB,
        note: note(second.allMiB),
      }),
      figure({ ...common, what: 'memory, peak, while they drain', measured: drain.ownMiB, note: note(drain.allMiB) }),
    ];
  } finally {
    http.close();
    await demo.stop();
  }
}

async function drained(http: HttpClient, demo: Demo): Promise<void> {
  const deadlineMs = performance.now() + DRAIN_MS_MAX;
  const wanted = await keysHeld(http, demo.url[FROM]);
  while ((await keysHeld(http, demo.url[AWAY])) < wanted) {
    if (performance.now() > deadlineMs) throw new Error(`the backlog has not drained after ${DRAIN_MS_MAX} ms`);
    await sleep(POLL_MS);
  }
}
