import { readFileSync } from 'node:fs';
import { CONFIG_VARIABLE } from '@meridian/server/config/read-settings';
import { dashed, flagOf, SETTING_NAMES, SETTINGS, type Setting, variableOf } from '@meridian/server/config/settings';
import { describe, expect, it } from 'vitest';

const page = readFileSync(new URL('../../docs/reference/settings.md', import.meta.url), 'utf8');
const example = readFileSync(new URL('../../.env.example', import.meta.url), 'utf8');

function rowOf(name: (typeof SETTING_NAMES)[number]): string {
  const { description, fallback, kind } = SETTINGS[name] as Setting<unknown>;
  const cells = [
    `\`${flagOf(name)}\``,
    `\`${variableOf(name)}\``,
    fallback === undefined ? 'none' : `\`${fallback}\``,
    kind.expected,
    description,
  ];
  return `| ${cells.join(' | ')} |`;
}

describe('docs/reference/settings.md', () => {
  it.each(SETTING_NAMES)('has the row of %s as the table of settings has it', (name) => {
    expect(page).toContain(`\n${rowOf(name)}\n`);
  });

  it('has a row for nothing else', () => {
    const flags = [...page.matchAll(/^\| `--([a-z-]+)`/gm)].map(([, flag]) => flag);
    expect(flags.toSorted()).toEqual(SETTING_NAMES.map(dashed).toSorted());
  });
});

describe('.env.example', () => {
  it('names every variable once, and no other', () => {
    const variables = [...example.matchAll(/^#?\s?(MERIDIAN_[A-Z_]+)=/gm)].map(([, variable]) => variable);
    expect(variables.toSorted()).toEqual([...SETTING_NAMES.map(variableOf), CONFIG_VARIABLE].toSorted());
  });
});
