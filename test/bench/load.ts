import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Session } from './session.ts';
import { KEYS, type LoadKind, loadRequest } from './workload.ts';

/** Requests over all keys in turn, each connection with one at a time. */
export interface Load {
  /** Connections and keys are split evenly between several. */
  readonly urls: readonly string[];
  readonly kind: LoadKind;
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
    const script = join(session.folder, `${load.kind}.lua`);
    const requests = join(session.folder, `${load.kind}.requests`);
    // Once: another load of the same kind may be reading it.
    if (!existsSync(script)) {
      writeFileSync(requests, requestLines(load.kind));
      writeFileSync(script, wrkScript(requests));
    }
    const { connections, seconds, urls } = load;
    const [first = ''] = urls;
    const amounts = ['--threads', `${urls.length}`, '--connections', `${connections}`, '--duration', `${seconds}s`];
    return ['wrk', ...amounts, '--script', script, first, '--', ...urls.map((url) => new URL(url).host)];
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
      if (line === undefined) throw new Error(`${name} on ${load.kind} ${load.urls.join(' ')} did not finish: ${text}`);
      const result = JSON.parse(line) as LoadResult;
      if (result.failures > 0) throw new Error(`${result.failures} of ${name}'s ${load.kind} requests failed`);
      return result;
    },
  };
}

function requestLines(kind: LoadKind): string {
  return Array.from({ length: KEYS }, (_none, at) => {
    const { method, path, body } = loadRequest(kind, at);
    return `${method} ${path} ${body ?? ''}\n`;
  }).join('');
}

/**
 * The requests are made once, before the load: the generator shares two cores with what it measures. One thread for
 * each server, which asks it for a part of the keys of its own.
 */
function wrkScript(requests: string): string {
  return `local threads = 0
function setup(thread)
  thread:set("number", threads)
  threads = threads + 1
end
local requests = {}
local count = 0
local at = 0
function init(hosts)
  if #hosts > 1 then
    local host, port = hosts[number + 1]:match("^(.*):(%d+)$")
    wrk.thread.addr = wrk.lookup(host, port)[1]
  end
  local lines = {}
  for line in io.lines(${JSON.stringify(requests)}) do lines[#lines + 1] = line end
  local share = math.floor(#lines / #hosts)
  for line = number * share + 1, (number + 1) * share do
    local method, path, body = lines[line]:match("^(%S+) (%S+) (.*)$")
    local headers = {}
    if body == "" then body = nil else headers["Content-Type"] = "application/json" end
    requests[count] = wrk.format(method, path, headers, body)
    count = count + 1
  end
end
function request()
  at = (at + 1) % count
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
