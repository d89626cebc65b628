/** How a setting's text is read. `expected` completes the sentence "expected ...". */
export interface SettingKind<Value> {
  readonly expected: string;
  /** `undefined` where the text is not such a value. */
  parse(text: string): Value | undefined;
}

export function text(expected = 'a text'): SettingKind<string> {
  return { expected, parse: (given) => (given === '' ? undefined : given) };
}

export function matching(pattern: RegExp, expected: string): SettingKind<string> {
  return { expected, parse: (given) => (pattern.test(given) ? given : undefined) };
}

export function integer(min: number, max: number): SettingKind<number> {
  return {
    expected: `a whole number from ${min} to ${max}`,
    parse: (given) => inRange(/^\d{1,15}$/.test(given) ? Number(given) : Number.NaN, min, max),
  };
}

const BYTE_UNITS: Readonly<Record<string, number>> = { '': 1, KiB: 1_024, MiB: 1_024 ** 2, GiB: 1_024 ** 3 };

/** Bytes, also as `64KiB`, `8MiB`, `1GiB`. */
export function bytes(min: number, max: number): SettingKind<number> {
  return {
    expected: `bytes, KiB, MiB or GiB, from ${bytesText(min)} to ${bytesText(max)}`,
    parse: (given) => {
      const [, digits, unit] = /^(\d{1,15})(|KiB|MiB|GiB)$/.exec(given) ?? [];
      return inRange(Number(digits) * (BYTE_UNITS[unit ?? ''] ?? Number.NaN), min, max);
    },
  };
}

export function bytesText(count: number): string {
  const unit = Object.entries(BYTE_UNITS).findLast(([, size]) => count >= size && count % size === 0);
  return unit ? `${count / unit[1]}${unit[0]}` : String(count);
}

export function flag(): SettingKind<boolean> {
  const values = new Map([
    ['true', true],
    ['1', true],
    ['yes', true],
    ['false', false],
    ['0', false],
    ['no', false],
  ]);
  return { expected: 'true or false', parse: (given) => values.get(given.toLowerCase()) };
}

export function choice<const Choice extends string>(...choices: readonly Choice[]): SettingKind<Choice> {
  return {
    expected: `one of ${choices.join(', ')}`,
    parse: (given) => choices.find((candidate) => candidate === given),
  };
}

/** Names with commas between them. */
export function names(expected: string): SettingKind<readonly string[]> {
  return {
    expected,
    parse: (given) => {
      const parts = given.split(',').map((part) => part.trim());
      return parts.every((part) => part !== '') && new Set(parts).size === parts.length ? parts : undefined;
    },
  };
}

export function httpUrl(): SettingKind<string> {
  return {
    expected: 'an http or https URL',
    parse: (given) => {
      const url = URL.canParse(given) ? new URL(given) : undefined;
      return url?.protocol === 'http:' || url?.protocol === 'https:' ? given.replace(/\/+$/, '') : undefined;
    },
  };
}

function inRange(value: number, min: number, max: number): number | undefined {
  return value >= min && value <= max ? value : undefined;
}
