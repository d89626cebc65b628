/** The text with `\ufffd` in place of control characters, which could steer the terminal it is shown on. Line ends and tabs stay. */
export function printable(text: string): string {
  return text.replaceAll(/\p{Cc}/gu, (character) => (character === '\n' || character === '\t' ? character : '\ufffd'));
}
