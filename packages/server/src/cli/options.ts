import { type Command, Option } from 'commander';
import { dashed, SETTINGS, type SettingName, variableOf } from '../config/settings.ts';

/** The flag of a setting. It has no default here: what was not given is looked for in the environment and in meridian.yaml. */
export function settingOption(setting: SettingName): Option {
  const { description, fallback, placeholder } = SETTINGS[setting] as (typeof SETTINGS)[SettingName] & {
    fallback?: string;
  };
  const isFlag = placeholder === 'BOOLEAN';
  const option = new Option(
    isFlag ? `--${dashed(setting)}` : `--${dashed(setting)} <${placeholder}>`,
    helpText(description),
  );
  const notes = [isFlag || fallback === undefined ? undefined : `default ${fallback}`, variableOf(setting)];
  option.description += ` (${notes.filter(Boolean).join('; ')})`;
  return option;
}

/** Option help begins small and has no full stop. */
function helpText(description: string): string {
  const [first = '', ...rest] = description.split('. ');
  const isAcronym = /^[A-Z]{2}/.test(first);
  return [isAcronym ? first : first.charAt(0).toLowerCase() + first.slice(1), ...rest].join('. ');
}

export function addSettings(command: Command, settings: readonly SettingName[]): Command {
  for (const setting of settings) command.addOption(settingOption(setting));
  return command;
}

export function addClientOptions(command: Command): Command {
  return addSettings(command, ['endpoint', 'timeoutMs']).option('--json', 'print data as JSON');
}

/** For commands about keys. */
export function addKeyOptions(command: Command): Command {
  addSettings(command, ['endpoint', 'namespace', 'consistency', 'timeoutMs']);
  return command.option(
    '--session <FILE>',
    "keep the session's token in FILE between commands: reads see what the session wrote and read",
  );
}

/** For commands whose answers have receipts: those of batches have none. */
export function addReceiptOption(command: Command): Command {
  return command.option('--receipt', 'print who served the request, and how, on stderr');
}

/** For commands about one key at a time. */
export function addExplainOption(command: Command): Command {
  return addReceiptOption(command).option(
    '--explain',
    'draw on stderr which nodes were waited for, round by round, and how long',
  );
}

/** For commands that write one key. */
export function addConditionOptions(command: Command): Command {
  return command
    .option('--if-match <TAG>', 'only where the value has this entity tag, or * for any value (exit code 4)')
    .option('--idempotency-key <TEXT>', 'sent again with the same TEXT, it is applied once (kept for an hour)');
}

export function examples(...lines: readonly string[]): string {
  return `\nExamples:\n${lines.map((line) => `  $ ${line}`).join('\n')}`;
}
