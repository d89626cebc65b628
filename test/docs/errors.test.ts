import { readFileSync } from 'node:fs';
import { ERRORS } from '@meridian/core/wire/errors';
import { describe, expect, it } from 'vitest';

const page = readFileSync(new URL('../../docs/reference/errors.md', import.meta.url), 'utf8');
const rows = [...page.matchAll(/^\| `([A-Z_]+)` \| (\d+) \| (.+?) \| (\w+) \|$/gm)].map(
  ([, code, status, title, retry]) => ({
    code,
    status: Number(status),
    title,
    retry,
  }),
);

describe('docs/reference/errors.md', () => {
  it('lists the table of errors, in its order', () => {
    expect(rows).toEqual(Object.entries(ERRORS).map(([code, kind]) => ({ code, ...kind })));
  });

  it('explains every advice that the table gives', () => {
    for (const { retry } of Object.values(ERRORS)) expect(page).toContain(`\`${retry}\`: `);
  });

  it('shows an example that fits the table', () => {
    const example = JSON.parse(/```json\n([\s\S]*?)```/.exec(page)?.[1] ?? '{}') as { code: keyof typeof ERRORS };
    expect(example).toMatchObject({
      type: `urn:meridian:error:${example.code}`,
      title: ERRORS[example.code].title,
      status: ERRORS[example.code].status,
    });
  });
});
