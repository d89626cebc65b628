import { styleText } from 'node:util';
import type { Output } from '../dependencies.ts';

type Look = Parameters<typeof styleText>[0];

/** Colours for a stream: none where it is no terminal or NO_COLOR is set, always where FORCE_COLOR is. */
export type Style = (look: Look, text: string) => string;

export function styleFor(output: Output, env: Readonly<Record<string, string | undefined>>): Style {
  const isForced = env.FORCE_COLOR !== undefined && env.FORCE_COLOR !== '0';
  const isOn = isForced || (output.isTTY === true && !env.NO_COLOR && env.TERM !== 'dumb');
  return (look, text) => (isOn ? styleText(look, text, { validateStream: false }) : text);
}
