import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Session } from './session.ts';
import { ENVELOPE, KEYS, keyOf } from './workload.ts';

/** Requests over all keys in turn, each connection with one at a time. */
export interface Load {
  readonly url: string;
  readonly method: 'GET' | 'PUT';
  readonly connections: number;
  readonly seconds: number;
}

export interface LoadResult {
  readonly requestsPerSecond: number;
  readonly medianMs: number;
  /** Answers of 400 and above, connections that failed, requests without an answer. */
  readonly failures: number;
}

export interface LoadGenerator {
  readonly name: string;
  /** @throws Error where any request failed: such a figure says nothing */
  run(load: Load): Promise<LoadResult>;
}

/** What a generator may take beyond the time of its load: to start, to connect, to count. */
const EXTRA_MS = 10_000;

/** `wrk` where it is installed, else the development dependency `autocannon`. */
export function loadGenerator(session: Session): LoadGenerator {
  const version = /wrk \S+/.exec(String(spawnSync('wrk', ['--version'], { encoding: 'utf8' }).stdout ?? ''))?.[0];
  if (version === undefined) {
    const child = join(import.meta.dirname, 'autocannon-child.ts');
    return generator('autocannon', session, (load) => [process.execPath, child, JSON.stringify(load)]);
  }
  return generator(version, session, (load) => {
    const script = join(session.folder, `${load.method}.lua`);
    writeFileSync(script, wrkScript(load.method));
    const { connections, seconds, url } = load;
    return [
      'wrk',
      '--threads',
      '1',
      '--connections',
      `${connections}`,
      '--duration',
      `${seconds}s`,
      '--script',
      script,
      url,
    ];
  });
}

function generator(name: string, session: Session, commandOf: (load: Load) => readonly string[]): LoadGenerator {
  return {
    name,
    run: async (load) => {
      const [command = '', ...args] = commandOf(load);
      const child = session.start(command, args, { stdio: ['ignore', 'pipe', 'inherit'] });
      const timer = setTimeout(() => child.kill('SIGKILL'), load.seconds * 1_000 + EXTRA_MS);
      let text = '';
      child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
      await once(child, 'close');
      clearTimeout(timer);
      const line = text.split('\n').find((candidate) => candidate.startsWith('{"requestsPerSecond"'));
      if (line === undefined) throw new Error(`${name} on ${load.method} ${load.url} did not finish: ${text}`);
      const result = JSON.parse(line) as LoadResult;
      if (result.failures > 0) throw new Error(`${result.failures} of ${name}'s ${load.method} requests failed`);
      return result;
    },
  };
}

/** The requests are made once, before the load: the generator shares two cores with what it measures. */
function wrkScript(method: Load['method']): string {
  const body = method === 'PUT' ? `'${ENVELOPE}'` : 'nil';
  const headers = method === 'PUT' ? '{ ["Content-Type"] = "application/json" }' : '{}';
  return `local requests = {}
local at = 0
function init()
  for i = 0, ${KEYS - 1} do
    requests[i] = wrk.format("${method}", "/kv/${keyOf(0).slice(0, -1)}" .. i, ${headers}, ${body})
  end
end
function request()
  at = (at + 1) % ${KEYS}
  return requests[at]
end
function done(summary, latency)
  local errors = summary.errors
  local failures = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  io.write(string.format('{"requestsPerSecond":%.3f,"medianMs":%.6f,"failures":%d}\\n',
    summary.requests / summary.duration * 1e6, latency:percentile(50) / 1000, failures))
end
`;
}
