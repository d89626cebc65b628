/** A wrong setting, told in one line: where it stands and what is expected. Stops a start with exit code 2. */
export class SettingError extends Error {
  override readonly name = 'SettingError';

  /** `where` names the file, flag or variable, and the path in it. */
  constructor(where: string, problem: string) {
    super(`${where}: ${problem}`.replaceAll(/\s*\n\s*/g, ' '));
  }
}
