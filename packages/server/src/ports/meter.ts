/** Takes the measure of operations as they end. Cheap: it is on every request's path. */
export interface Meter {
  /** `kind`: get, put, create, delete; `outcome`: ok, or the code of an error. */
  operation(kind: string, level: string, outcome: string, tookMs: number): void;
}
