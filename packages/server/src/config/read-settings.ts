import { readFileSync } from 'node:fs';
import { isAbsolute, join } from 'node:path';
import { hint } from './nearest.ts';
import { SettingError } from './setting-error.ts';
import { dashed, flagOf, SETTING_NAMES, SETTINGS, type SettingName, type Settings, variableOf } from './settings.ts';
import { parseYaml } from './yaml-text.ts';

export interface SettingSources {
  /** Flags as they were given, by setting; `undefined` where one was not. */
  readonly flags: Readonly<Partial<Record<SettingName, unknown>>>;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Where `meridian.yaml` is looked for. */
  readonly folder: string;
}

/** Names another place for the settings file; the one variable that is no setting. */
export const CONFIG_VARIABLE = 'MERIDIAN_CONFIG';
const CONFIG_FILE = 'meridian.yaml';

interface Source {
  readonly where: string;
  readonly given: unknown;
}

/**
 * Flag, then variable, then meridian.yaml, then default.
 * @throws SettingError, one line: an unknown variable or key, or a value that is out of range.
 */
export function readSettings<Name extends SettingName>(
  wanted: readonly Name[],
  sources: SettingSources,
): Settings<Name> {
  checkVariables(sources.env);
  const file = readSettingsFile(sources);
  const values = wanted.map((setting) => {
    const source = [
      { where: flagOf(setting), given: sources.flags[setting] },
      { where: variableOf(setting), given: sources.env[variableOf(setting)] || undefined },
      { where: `${file.path}: ${dashed(setting)}`, given: file.values[dashed(setting)] },
      { where: 'default', given: (SETTINGS[setting] as { fallback?: string }).fallback },
    ].find(({ given }) => given !== undefined);
    return [setting, source && parse(setting, source)] as const;
  });
  return Object.fromEntries(values) as Settings<Name>;
}

function parse(setting: SettingName, source: Source): unknown {
  const text = Array.isArray(source.given) ? source.given.join(',') : String(source.given);
  const { kind } = SETTINGS[setting];
  const value = kind.parse(text);
  if (value === undefined) throw new SettingError(source.where, `expected ${kind.expected}, found '${text}'`);
  return value;
}

function checkVariables(env: SettingSources['env']): void {
  const known = [...SETTING_NAMES.map(variableOf), CONFIG_VARIABLE];
  for (const [variable, value] of Object.entries(env)) {
    if (!variable.startsWith('MERIDIAN_') || value === undefined || known.includes(variable)) continue;
    throw new SettingError(variable, `there is no such setting${hint(variable, known)}`);
  }
}

interface SettingsFile {
  readonly path: string;
  readonly values: Readonly<Record<string, unknown>>;
}

function readSettingsFile({ env, folder }: SettingSources): SettingsFile {
  const named = env[CONFIG_VARIABLE] || undefined;
  const path = named ?? CONFIG_FILE;
  const text = readText(isAbsolute(path) ? path : join(folder, path), path, named !== undefined);
  if (text === undefined) return { path, values: {} };
  const values = parseYaml(path, text) ?? {};
  if (typeof values !== 'object' || Array.isArray(values))
    throw new SettingError(path, 'expected a mapping of settings');
  checkKeys(path, values as Record<string, unknown>);
  return { path, values: values as Record<string, unknown> };
}

function checkKeys(path: string, values: Readonly<Record<string, unknown>>): void {
  const known = SETTING_NAMES.map(dashed);
  for (const [key, value] of Object.entries(values)) {
    if (!known.includes(key)) throw new SettingError(`${path}: ${key}`, `there is no such setting${hint(key, known)}`);
    const isList = Array.isArray(value) && value.every((item) => typeof item === 'string');
    if (value === null || (typeof value === 'object' && !isList)) {
      throw new SettingError(`${path}: ${key}`, `expected ${settingAt(key).kind.expected}`);
    }
    parse(nameAt(key), { where: `${path}: ${key}`, given: value });
  }
}

function nameAt(key: string): SettingName {
  return SETTING_NAMES.find((setting) => dashed(setting) === key) as SettingName;
}

function settingAt(key: string): (typeof SETTINGS)[SettingName] {
  return SETTINGS[nameAt(key)];
}

function readText(path: string, shown: string, mustExist: boolean): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ENOENT' && !mustExist) return undefined;
    throw new SettingError(shown, code === 'ENOENT' ? 'there is no such settings file' : `cannot be read (${code})`);
  }
}
