import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ClientOptions, MeridianClient } from '@meridian/client/client';
import type { WanChange } from '@meridian/client/types';
import { eventually } from './eventually.ts';
import { freeBasePort } from './free-ports.ts';
import { type Ended, MeridianProcess } from './meridian-process.ts';

export const REGIONS = ['us-east', 'eu-central', 'ap-northeast'] as const;
export type Region = (typeof REGIONS)[number];

export interface DemoOptions {
  /** Emulated links: with the measured round trips, or with this one between all regions. Without it there are none. */
  readonly wan?: 'measured' | { readonly rttMs: number };
  /** Where an earlier demo has left its data; a new folder, gone after `remove`, where none is named. */
  readonly dataDir?: string;
  readonly env?: Readonly<Record<string, string>>;
}

const PEER_PORT_OFFSET = 1_000;

/** `bin/meridian demo` with three regions, ready. */
export async function startDemo({ wan, dataDir, env = {} }: DemoOptions = {}): Promise<Demo> {
  const folder = dataDir ?? (await mkdtemp(join(tmpdir(), 'meridian-demo-')));
  const basePort = await freeBasePort(REGIONS.length, PEER_PORT_OFFSET);
  const args = ['demo', '--base-port', String(basePort), '--data-dir', folder, ...(wan ? [] : ['--no-wan'])];
  const demo = new Demo(new MeridianProcess(args, { folder, env }), folder, basePort);
  try {
    await demo.process.said('ready', () => demo.process.stdout.includes('ready'));
    if (typeof wan === 'object') await demo.setRtt(wan.rttMs);
  } catch (error) {
    await demo.remove();
    throw error;
  }
  return demo;
}

/** A running demo, and what tests do to it. */
export class Demo {
  readonly process: MeridianProcess;
  readonly dataDir: string;
  readonly urls: Readonly<Record<Region, string>>;

  constructor(process: MeridianProcess, dataDir: string, basePort: number) {
    this.process = process;
    this.dataDir = dataDir;
    this.urls = Object.fromEntries(
      REGIONS.map((region, at) => [region, `http://127.0.0.1:${basePort + at}`]),
    ) as Record<Region, string>;
  }

  client(region: Region, options: Omit<ClientOptions, 'endpoint'> = {}): MeridianClient {
    return new MeridianClient({ session: false, ...options, endpoint: this.urls[region] });
  }

  /** One client for each region, in the order of `REGIONS`. */
  clients(options: Omit<ClientOptions, 'endpoint'> = {}): MeridianClient[] {
    return REGIONS.map((region) => this.client(region, options));
  }

  storeFolder(region: Region): string {
    return join(this.dataDir, `${region}-1`);
  }

  async pid(region: Region): Promise<number> {
    return Number(await readFile(join(this.dataDir, `${region}-1.pid`), 'utf8'));
  }

  log(region: Region): Promise<string> {
    return readFile(join(this.dataDir, `${region}-1.log`), 'utf8');
  }

  /** SIGKILL to the process of a region, which the demo starts again after 3 s. Resolves once it is gone. */
  async kill(region: Region): Promise<void> {
    const pid = await this.pid(region);
    process.kill(pid, 'SIGKILL');
    await eventually(async () => (await this.pid(region).catch(() => 0)) !== pid, {
      what: `the end of ${region}`,
      everyMs: 5,
    });
  }

  /** Once the region's node takes requests. */
  async isReady(region: Region, withinMs = 20_000): Promise<void> {
    await eventually(() => this.client(region).isReady(1_000), { what: `readiness of ${region}`, withinMs });
  }

  async tellWan(change: WanChange): Promise<void> {
    await Promise.all(this.clients().map((client) => client.wan(change)));
  }

  /** Cuts off one region from the others. */
  async isolate(region: Region): Promise<void> {
    await this.tellWan({ split: REGIONS.filter((other) => other !== region).map((other) => [region, other] as const) });
  }

  async heal(): Promise<void> {
    await this.tellWan({ heal: true });
  }

  async setRtt(rttMs: number): Promise<void> {
    const pairs = REGIONS.flatMap((one, at) => REGIONS.slice(at + 1).map((other) => `${one}|${other}`));
    await this.tellWan({ rtt: Object.fromEntries(pairs.map((pair) => [pair, rttMs])) });
  }

  /** Every region hears from every other, and may answer quorums. */
  async isConnected(withinMs = 20_000): Promise<void> {
    await eventually(
      async () => {
        const healths = await Promise.all(this.clients().map((client) => client.health()));
        return healths.every(
          ({ peers, store }) =>
            store.isFilled === true && peers.length === REGIONS.length - 1 && peers.every(({ reachable }) => reachable),
        );
      },
      { what: 'regions that are filled and hear from each other', withinMs },
    );
  }

  /** Ctrl-C. What it has written stays. */
  stop(): Promise<Ended> {
    return this.process.end ? Promise.resolve(this.process.end) : this.process.stop();
  }

  /** Ends it where it still runs, and removes its data. */
  async remove(): Promise<void> {
    await this.stop();
    await rm(this.dataDir, { recursive: true, force: true, maxRetries: 5 });
  }
}
