/** One line per event worth waking for; fields first, as pino has it. Never a value, a token or a secret. */
export interface Log {
  debug(fields: object, event: string): void;
  info(fields: object, event: string): void;
  warn(fields: object, event: string): void;
  error(fields: object, event: string): void;
}
