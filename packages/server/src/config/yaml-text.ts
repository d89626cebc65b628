import { parseDocument } from 'yaml';
import { SettingError } from './setting-error.ts';

/** What a YAML file says. @throws SettingError, one line, where it is none, or names more than it may. */
export function parseYaml(path: string, text: string): unknown {
  const document = parseDocument(text, { prettyErrors: true, uniqueKeys: true });
  const [failure] = document.errors;
  if (failure?.code === 'MULTIPLE_DOCS') throw new SettingError(path, "expected one document, found '---' and another");
  if (failure) throw new SettingError(path, firstLine(failure));
  try {
    return document.toJS({ maxAliasCount: 100 });
  } catch (error) {
    // An alias of nothing, or so many of aliases that there is no end to what they stand for.
    throw new SettingError(path, firstLine(error as Error));
  }
}

function firstLine({ message }: Error): string {
  return message.split('\n')[0]?.replace(/:$/, '') ?? 'is not YAML';
}
