import type { NodeName, RegionName, StoreName } from '@meridian/core/ids';
import type { Layout, LayoutRegion } from '@meridian/core/placement/layout';
import { MeridianError } from '@meridian/core/wire/errors';
import { NO_BUGS } from '@meridian/server/node/planted-bugs';
import type { Level, ReadAnswer, RequestOptions, WriteConditions } from '@meridian/server/node/service';
import { type Member, ownDisk } from '../simulation/member.ts';
import { SeededRandom } from '../simulation/seeded-random.ts';
import { SimulatedCluster } from '../simulation/simulated-cluster.ts';
import type { SimulatedDisk } from '../simulation/simulated-store.ts';
import { Trace } from '../simulation/trace.ts';
import { VirtualTime } from '../simulation/virtual-time.ts';

const REGIONS = ['us-east', 'eu-central', 'ap-northeast'];
const SETTLE_MS = 8_000;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/**
 * Plays a scenario on a simulated cluster and returns its transcript: each line as written, with what it answered behind an
 * arrow. Lines:
 *
 *   put KEY=VALUE at REGION [level LEVEL] [context of READER] [ttl SECONDS] [in NAMESPACE] [session NAME]
 *     in namespaces of mode strong also: [if-match READER] [if-absent] [request NAME]
 *   get KEY at REGION [as READER] [level LEVEL] [in NAMESPACE] [session NAME]
 *   delete KEY at REGION [in NAMESPACE] [if-match READER] | list at REGION | ledger KEY at REGION in NAMESPACE
 *   namespace NAME JSON at REGION
 *   split REGION REGION | cut off REGION | heal | crash REGION | wipe REGION | backup REGION | restore REGION | restart REGION | wait SECONDS | settle
 */
export async function playScript(text: string): Promise<string> {
  const player = new Player();
  return player.play(text.split('\n').map((line) => line.replace(/\s+->.*$/, '')));
}

function layout(): Layout {
  const regions = REGIONS.map((name): LayoutRegion => {
    const region = name as RegionName;
    const store = { name: `${name}-1` as StoreName, region, capacity: 1 };
    const node = { name: `${name}-1` as NodeName, region, store: store.name, http: '-', peer: '-' };
    return { name: region, latitude: 0, longitude: 0, stores: [store], nodes: [node] };
  });
  return { version: 1, cluster: 'golden', regions };
}

class Player {
  readonly #time = new VirtualTime();
  readonly #cluster: SimulatedCluster;
  readonly #readers = new Map<string, ReadAnswer>();
  readonly #sessions = new Map<string, string>();
  readonly #backups = new Map<string, SimulatedDisk>();

  constructor() {
    const watcher = {
      onDecision: () => undefined,
      onDurable: () => undefined,
      onRegisterDurable: () => undefined,
    };
    this.#cluster = new SimulatedCluster(
      layout(),
      this.#time,
      new SeededRandom(1),
      new Trace(0),
      { node: NO_BUGS, store: {} },
      watcher,
    );
  }

  async play(lines: readonly string[]): Promise<string> {
    const transcript: string[] = [];
    let isDone = false;
    const script = this.#playAll(lines, transcript).finally(() => {
      isDone = true;
    });
    await this.#time.run(() => isDone);
    await script;
    return transcript.join('\n');
  }

  async #playAll(lines: readonly string[], transcript: string[]): Promise<void> {
    for (const member of this.#cluster.members) await this.#cluster.start(member);
    await this.#time.sleep(SETTLE_MS);
    for (const line of lines) {
      const isCommand = line.trim() !== '' && !line.startsWith('#');
      const answer = isCommand ? await this.#playOne(line) : '';
      transcript.push(answer === '' ? line : `${line}  -> ${answer}`);
    }
  }

  async #playOne(line: string): Promise<string> {
    const words = line.trim().split(/\s+/);
    const [verb = '', ...rest] = words;
    const option = (name: string): string | undefined =>
      rest.includes(name) ? rest[rest.indexOf(name) + 1] : undefined;
    try {
      return await this.#do(verb, rest, option);
    } catch (error) {
      if (!(error instanceof MeridianError)) throw error;
      return `${error.status} ${error.code}: ${error.message}`;
    }
  }

  #member(region: string | undefined): Member {
    const member = this.#cluster.members.find((one) => one.region === region);
    if (!member) throw new Error(`the script names no region where it should: ${region}`);
    return member;
  }

  #node(region: string | undefined) {
    const process = this.#member(region).process;
    if (!process) throw new Error(`${region} is not running`);
    return process.node;
  }

  async #do(verb: string, rest: readonly string[], option: (name: string) => string | undefined): Promise<string> {
    const namespace = option('in') ?? 'default';
    const session = option('session');
    const options: RequestOptions = {
      requestId: 'golden',
      level: (option('level') ?? (session ? 'session' : 'eventual')) as Level,
      timeoutMs: 2_000,
      isDefaultLevel: option('level') === undefined && session === undefined,
      session: session && this.#sessions.get(session),
      conditions: this.#conditionsOf(rest, option),
    };
    const remember = (token: string): void => void (session && this.#sessions.set(session, token));
    switch (verb) {
      case 'put': {
        const [key = '', value = ''] = (rest[0] ?? '').split('=');
        const reader = option('of');
        const ttl = option('ttl');
        const body = {
          body: encoder.encode(value),
          contentType: 'text/plain',
          ttlSeconds: ttl === undefined ? undefined : Number(ttl),
        };
        const context = reader && this.#readers.get(reader)?.head.context;
        const answer = await this.#node(option('at')).put(namespace, key, body, context, options);
        remember(answer.head.session);
        return answer.existed ? 'replaced' : 'created';
      }
      case 'get': {
        const answer = await this.#node(option('at')).get(namespace, rest[0] ?? '', options);
        const reader = option('as');
        if (reader) this.#readers.set(reader, answer);
        remember(answer.head.session);
        return shown(answer);
      }
      case 'delete': {
        const answer = await this.#node(option('at')).delete(namespace, rest[0] ?? '', undefined, options);
        return answer.existed ? 'deleted' : 'not found';
      }
      case 'list': {
        const { items } = await this.#node(option('at')).list(namespace, { prefix: '', limit: 100 }, options);
        return (
          items
            .map(({ key, values }) => `${key}=${values.map(({ body }) => decoder.decode(body)).join('|')}`)
            .join(' ') || 'nothing'
        );
      }
      case 'ledger': {
        const entries = await this.#node(option('at')).ledger(namespace, rest[0] ?? '', options);
        return entries.map(({ value }) => `${decoder.decode(value.body)} of ${value.region}`).join(', ') || 'empty';
      }
      case 'namespace': {
        const { isNew, namespace: made } = await this.#node(option('at')).putNamespace(
          rest[0] ?? '',
          JSON.parse(rest[1] ?? '{}'),
          options,
        );
        return `${isNew ? 'created' : 'changed'} ${made.mode === 'strong' ? 'strong' : made.conflict}`;
      }
      default:
        return this.#disturb(verb, rest);
    }
  }

  /** What a change depends on, where the line names anything. */
  #conditionsOf(rest: readonly string[], option: (name: string) => string | undefined): WriteConditions | undefined {
    const reader = option('if-match');
    const etag = reader && this.#readers.get(reader)?.head.etag;
    const idempotencyKey = option('request');
    const ifNoneMatch = rest.includes('if-absent') ? '*' : undefined;
    if (!etag && !ifNoneMatch && !idempotencyKey) return undefined;
    return { ifMatch: etag && `"${etag}"`, ifNoneMatch, idempotencyKey };
  }

  async #disturb(verb: string, rest: readonly string[]): Promise<string> {
    const { network } = this.#cluster;
    const cut = (left: Member, right: Member): void => {
      network.cut(left.name, right.name);
      network.cut(right.name, left.name);
    };
    if (verb === 'split') cut(this.#member(rest[0]), this.#member(rest[1]));
    else if (verb === 'cut') {
      const alone = this.#member(rest[1]);
      for (const other of this.#cluster.members) if (other !== alone) cut(alone, other);
    } else if (verb === 'heal') network.heal();
    else if (verb === 'crash') this.#cluster.crash(this.#member(rest[0]));
    else if (verb === 'wipe') this.#cluster.replaceDisk(this.#member(rest[0]));
    else if (verb === 'backup') this.#backups.set(rest[0] ?? '', ownDisk(this.#member(rest[0])).copy());
    else if (verb === 'restore')
      this.#cluster.replaceDisk(this.#member(rest[0]), this.#backups.get(rest[0] ?? '')?.copy());
    else if (verb === 'restart') await this.#cluster.start(this.#member(rest[0]));
    else if (verb === 'wait') await this.#time.sleep(Number(rest[0]) * 1000);
    else if (verb !== 'settle') throw new Error(`the script says '${verb}', which is no command`);
    if (['split', 'cut', 'heal', 'restart', 'settle'].includes(verb)) await this.#time.sleep(SETTLE_MS);
    return '';
  }
}

function shown({ values }: ReadAnswer): string {
  return values.map(({ body, region }) => `${decoder.decode(body)} of ${region}`).join(' | ') || 'not found';
}
