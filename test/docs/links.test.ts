import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';

const root = resolve(import.meta.dirname, '../..');
/** What a path may be relative to: ARCHITECTURE.md leaves out the folders that all of its paths would begin with. */
const BASES = ['.', 'packages/server/src', 'packages/core/src'].map((base) => join(root, base));
const pages = globSync(['*.md', 'docs/**/*.md'], { cwd: root }).toSorted();

/** A page without its fenced blocks, where links and back-ticks mean nothing. */
const proseOf = (page: string): string => readFileSync(join(root, page), 'utf8').replace(/^```[\s\S]*?^```$/gm, '');

interface Link {
  readonly target: string;
  readonly anchor: string | undefined;
}

function relativeLinks(prose: string): readonly Link[] {
  return [...prose.matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, href = '']) => href)
    .filter((href) => !/^[a-z]+:/.test(href))
    .map((href) => {
      const [target = '', anchor] = href.split('#');
      return { target, anchor };
    });
}

/** The anchors of a page's headings, as forges make them. */
function anchorsOf(prose: string): readonly string[] {
  return [...prose.matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );
}

const FOLDERS =
  /^(packages|test|docs|bin|examples|\.ci|ports|adapters|node|http|config|observability|cli|causality|placement|coordination|replication|wire)\//;
const SOURCE = /^[\w.-]+\.(ts|mjs|cjs|md)$/;

/** What stands in back-ticks and looks like a path of this repository; patterns with a `*` do not. */
function pathsIn(prose: string): readonly string[] {
  return [...prose.matchAll(/`([^`\n]+)`/g)]
    .map(([, text = '']) => text)
    .filter((text) => /^[\w./-]+$/.test(text) && (FOLDERS.test(text) || SOURCE.test(text)));
}

function fileAt(path: string, page: string): string | undefined {
  return [...BASES, dirname(join(root, page))].map((base) => join(base, path)).find((file) => existsSync(file));
}

/** Names that a page says to be in a file: `` `name`, `other` (`file.ts`) ``, and constants in a row with their file. */
function namesInFiles(prose: string): readonly { readonly name: string; readonly path: string }[] {
  const said = [...prose.matchAll(/((?:`[\w.#]+`(?:, | and )?)+)(?: \(|, )`([\w./-]+\.ts)`/g)].flatMap(
    ([, names = '', path = '']) => [...names.matchAll(/`([\w.#]+)`/g)].map(([, name = '']) => ({ name, path })),
  );
  const constants = [...prose.matchAll(/^\|.*\| `(\w+)` \|.*\| `([\w./-]+\.ts)` \|$/gm)].map(
    ([, name = '', path = '']) => ({ name, path }),
  );
  return [...said, ...constants].filter(({ name }) => !SOURCE.test(name));
}

function holds(path: string, page: string, name: string): boolean {
  const file = fileAt(path, page);
  if (!file) return false;
  const text = readFileSync(file, 'utf8');
  return name.split('.').every((part) => new RegExp(`(^|[^\\w#])${part}\\b`).test(text));
}

describe('the documentation', () => {
  it('has pages to look at', () => {
    expect(pages).toEqual(expect.arrayContaining(['ARCHITECTURE.md', 'README.md', 'docs/reference/errors.md']));
  });

  it.each(pages)('%s links to files and headings that are there', (page) => {
    const dead = relativeLinks(proseOf(page)).filter(({ target, anchor }) => {
      const file = target === '' ? join(root, page) : resolve(root, dirname(page), target);
      if (!existsSync(file)) return true;
      return anchor !== undefined && !anchorsOf(readFileSync(file, 'utf8')).includes(anchor);
    });
    expect(dead).toEqual([]);
  });

  it.each(pages)('%s names paths that are there', (page) => {
    expect(pathsIn(proseOf(page)).filter((path) => !fileAt(path, page))).toEqual([]);
  });

  it('leads from the README to every page', () => {
    const reached = new Set(['README.md']);
    for (const page of reached) {
      for (const { target } of relativeLinks(proseOf(page))) {
        const found = join(dirname(page), target);
        if (pages.includes(found)) reached.add(found);
      }
    }
    expect(pages.filter((page) => !reached.has(page))).toEqual([]);
  });
});

describe('ARCHITECTURE.md', () => {
  const named = namesInFiles(proseOf('ARCHITECTURE.md'));

  it('names functions and constants beside the files that have them', () => {
    expect(named.length).toBeGreaterThan(80);
    expect(named.filter(({ name, path }) => !holds(path, 'ARCHITECTURE.md', name))).toEqual([]);
  });
});

describe('these checks', () => {
  it('see what is dead', () => {
    expect(relativeLinks('[a](gone.md#there) [b](https://x.test/) [c](#here)')).toEqual([
      { target: 'gone.md', anchor: 'there' },
      { target: '', anchor: 'here' },
    ]);
    expect(pathsIn('`node/gone.ts` and `gone.ts`, not `a b`, `meridian_*` or `/health/`')).toEqual([
      'node/gone.ts',
      'gone.ts',
    ]);
    expect(fileAt('node/gone.ts', 'README.md')).toBeUndefined();
    expect(holds('node/writes.ts', 'README.md', '#gone')).toBe(false);
    expect(namesInFiles('calls `a.b` and `c` (`node/d.ts`)')).toEqual([
      { name: 'a.b', path: 'node/d.ts' },
      { name: 'c', path: 'node/d.ts' },
    ]);
  });
});
