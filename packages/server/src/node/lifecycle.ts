/** How far a node is in its life. Set by `MeridianNode`, looked at by its parts. */
export interface Lifecycle {
  /** Everything is wired and listens. */
  isStarted: boolean;
  /** No new work is begun. */
  isStopping: boolean;
}
