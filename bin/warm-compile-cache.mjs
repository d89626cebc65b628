// Loads all that a node loads, once, so that already its first start finds compiled code (see bin/meridian): one file that
// is not there makes Node load its TypeScript stripper, which costs 20 MB for as long as the process lives.
import { globSync } from 'node:fs';
import { dirname, join } from 'node:path';

const root = dirname(import.meta.dirname);
const sources = globSync('packages/*/src/**/*.ts', {
  cwd: root,
  exclude: ['**/*.test.ts', '**/*.testing.ts', '**/main.ts'],
});
await Promise.all(sources.map((source) => import(join(root, source))));
process.argv.push('--version');
await import(join(root, 'packages/server/src/main.ts'));
