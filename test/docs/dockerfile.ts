import { posix } from 'node:path';

export interface Instruction {
  /** In capitals: `COPY`. */
  readonly name: string;
  /** What follows the name, its lines joined. */
  readonly text: string;
}

/** What stands from one `FROM` to the next. */
export interface Stage {
  /** The image it begins with. */
  readonly from: string;
  readonly instructions: readonly Instruction[];
}

/** The stages of a Dockerfile, without comments, `ARG`s before the first `FROM` filled in. */
export function parseDockerfile(text: string): readonly Stage[] {
  const lines = text.replace(/^\s*#.*\n/gm, '').replaceAll(/\\\n\s*/g, '');
  const stages: { from: string; instructions: Instruction[] }[] = [];
  const defaults = new Map<string, string>();
  for (const [, name = '', rest = ''] of lines.matchAll(/^([A-Z]+) +(.+)$/gm)) {
    const stage = stages.at(-1);
    if (name === 'FROM') {
      const filled = rest.replaceAll(/\$\{(\w+)\}/g, (_all, key: string) => defaults.get(key) ?? '');
      stages.push({ from: filled.split(' ')[0] ?? '', instructions: [] });
    } else if (stage) stage.instructions.push({ name, text: rest.trim() });
    else if (name === 'ARG') defaults.set(...pairOf(rest));
  }
  return stages;
}

export function textsOf(stage: Stage, name: string): readonly string[] {
  return stage.instructions.filter((one) => one.name === name).map(({ text }) => text);
}

/** The last one of its name, which is the one in force. @throws where there is none. */
export function lastOf(stage: Stage, name: string): string {
  const text = textsOf(stage, name).at(-1);
  if (text === undefined) throw new Error(`the stage has no ${name}`);
  return text;
}

/** The words of `ENTRYPOINT ["a", "b"]`, or of what stands after `CMD` in a `HEALTHCHECK`. */
export function wordsOf(text: string): readonly string[] {
  return JSON.parse(text.slice(text.indexOf('['))) as string[];
}

export function environmentOf(stage: Stage): Readonly<Record<string, string>> {
  return Object.fromEntries(textsOf(stage, 'ENV').flatMap((text) => text.split(/\s+/).map(pairOf)));
}

/** Which paths a build context holds under these rules: the last pattern that fits a path or a folder above it decides. */
export function contextFilter(dockerignore: string): (path: string) => boolean {
  const rules = dockerignore
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => ({ keeps: line.startsWith('!'), pattern: line.replace(/^!/, '') }));
  return (path) => {
    const above = path.split('/').map((_part, at, parts) => parts.slice(0, at + 1).join('/'));
    const rule = rules.findLast(({ pattern }) => above.some((folder) => posix.matchesGlob(folder, pattern)));
    return rule?.keeps ?? true;
  };
}

function pairOf(text: string): [string, string] {
  const at = text.indexOf('=');
  return [text.slice(0, at), text.slice(at + 1)];
}
