import type { HttpClient } from './http-client.ts';
import { type Demo, REGIONS, type Region } from './servers.ts';

interface WanStatus {
  readonly rtt: Readonly<Record<string, number>>;
}

/** The emulated links of a demo. Each node is told of each change: it acts on its own end of its links. */
export class Wan {
  readonly #http: HttpClient;
  readonly #demo: Demo;
  readonly rttMs: WanStatus['rtt'];

  private constructor(http: HttpClient, demo: Demo, rttMs: WanStatus['rtt']) {
    this.#http = http;
    this.#demo = demo;
    this.rttMs = rttMs;
  }

  static async of(http: HttpClient, demo: Demo): Promise<Wan> {
    const { rtt } = await http.json<WanStatus>('GET', `${demo.url[REGIONS[0]]}/admin/wan`);
    const others = await http.json<WanStatus>('GET', `${demo.url[REGIONS[1]]}/admin/wan`);
    return new Wan(http, demo, { ...others.rtt, ...rtt });
  }

  /** With the delays it began with, or with none. */
  async delay(isDelayed: boolean): Promise<void> {
    await this.#tellAll({
      rtt: Object.fromEntries(Object.entries(this.rttMs).map(([link, ms]) => [link, isDelayed ? ms : 0])),
    });
  }

  /** Cuts all links of a region. */
  async splitOff(region: Region): Promise<void> {
    await this.#tellAll({ split: REGIONS.filter((other) => other !== region).map((other) => [other, region]) });
  }

  async heal(): Promise<void> {
    await this.#tellAll({ heal: true });
  }

  oneWayMs(one: Region, other: Region): number {
    const rttMs = this.rttMs[`${one}|${other}`] ?? this.rttMs[`${other}|${one}`];
    if (rttMs === undefined) throw new Error(`no round trip is known between ${one} and ${other}`);
    return rttMs / 2;
  }

  async #tellAll(change: object): Promise<void> {
    await Promise.all(REGIONS.map((region) => this.#http.json('POST', `${this.#demo.url[region]}/admin/wan`, change)));
  }
}

/** How many keys the node's own store holds. */
export async function keysHeld(http: HttpClient, url: string): Promise<number> {
  const { store } = await http.json<{ store: { keys: number } }>('GET', `${url}/health/`);
  return store.keys;
}
