export type CancelTimer = () => void;

/** All time comes through here, so that the simulator can own it. */
export interface Clock {
  /** Milliseconds since 1970; may jump either way. */
  wallMs(): number;
  /** Milliseconds since some start; never goes back. For durations and deadlines. */
  monotonicMs(): number;
  /** Calls `fire` once, not before `delayMs` have passed. */
  timer(delayMs: number, fire: () => void): CancelTimer;
  /** Calls `fire` once, after all that this tick has already brought in was handled. */
  soon(fire: () => void): void;
}
