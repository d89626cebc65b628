/** The text with `\ufffd` in place of control characters, which could steer the terminal it is shown on. Line ends and tabs stay. */
export function printable(text: string): string {
  return text.replaceAll(/\p{Cc}/gu, (character) => (character === '\n' || character === '\t' ? character : '\ufffd'));
}

/** A key as a terminal shows it: keys can hold anything, and one that is not printable on its line comes as JSON has it. */
export function shownKey(key: string): string {
  return printable(key) !== key || /[\n\t]/.test(key) ? printable(JSON.stringify(key)) : key;
}
