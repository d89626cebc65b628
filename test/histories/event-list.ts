/** The ends of an operation, as positions in one order. */
export interface Interval {
  readonly calledAt: number;
  readonly returnedAt: number;
}

const HEAD = 0;

/**
 * The calls and returns of operations that are not placed yet, as a doubly linked list in the order of the history (Lowe,
 * *Testing for linearizability*, 2017, after Wing and Gong, 1993). `lift` takes the two events of an operation out, `unlift`
 * puts them back; the last lifted is the first to come back.
 */
export class EventList {
  readonly #next: Int32Array;
  readonly #previous: Int32Array;
  readonly #position: Float64Array;
  readonly #callNode: Int32Array;
  readonly #returnNode: Int32Array;
  /** By node: the operation whose call it is, or -1 for a return. */
  readonly #callOf: Int32Array;
  readonly #returnOf: Int32Array;

  /** All operations must return: `returnedAt` is finite. */
  constructor(intervals: readonly Interval[]) {
    const nodes = intervals.length * 2 + 1;
    this.#next = new Int32Array(nodes).fill(-1);
    this.#previous = new Int32Array(nodes).fill(-1);
    this.#position = new Float64Array(nodes);
    this.#callNode = new Int32Array(intervals.length);
    this.#returnNode = new Int32Array(intervals.length);
    this.#callOf = new Int32Array(nodes).fill(-1);
    this.#returnOf = new Int32Array(nodes).fill(-1);
    const ends = intervals.flatMap(({ calledAt, returnedAt }, operation) => [
      { operation, at: calledAt, isCall: true },
      { operation, at: returnedAt, isCall: false },
    ]);
    ends.sort((one, other) => one.at - other.at);
    let last = HEAD;
    for (const [index, { operation, at, isCall }] of ends.entries()) {
      const node = index + 1;
      this.#position[node] = at;
      (isCall ? this.#callNode : this.#returnNode)[operation] = node;
      (isCall ? this.#callOf : this.#returnOf)[node] = operation;
      this.#next[last] = node;
      this.#previous[node] = last;
      last = node;
    }
  }

  get isEmpty(): boolean {
    return this.#next[HEAD] === -1;
  }

  /** The operation whose return is the first: it must be placed before anything that was called later. -1 where there is none. */
  deadline(): number {
    let node = this.#next[HEAD] as number;
    while (node !== -1) {
      const operation = this.#returnOf[node] as number;
      if (operation !== -1) return operation;
      node = this.#next[node] as number;
    }
    return -1;
  }

  returnedAt(operation: number): number {
    return this.#position[this.#returnNode[operation] as number] as number;
  }

  /** Operations that may come next: those called before the first return. In the order of their calls. */
  frontier(): number[] {
    const operations: number[] = [];
    this.forFrontier((operation) => {
      operations.push(operation);
    });
    return operations;
  }

  /** `visit` may lift the operation that it is handed, and no other; operations that thereby come in reach are visited too. */
  forFrontier(visit: (operation: number) => void): void {
    let previous = HEAD;
    for (;;) {
      const node = this.#next[previous] as number;
      if (node === -1) return;
      const operation = this.#callOf[node] as number;
      if (operation === -1) return;
      visit(operation);
      if (this.#next[previous] === node) previous = node;
    }
  }

  lift(operation: number): void {
    this.#unlink(this.#callNode[operation] as number);
    this.#unlink(this.#returnNode[operation] as number);
  }

  unlift(operation: number): void {
    this.#relink(this.#returnNode[operation] as number);
    this.#relink(this.#callNode[operation] as number);
  }

  #unlink(node: number): void {
    const next = this.#next[node] as number;
    const previous = this.#previous[node] as number;
    this.#next[previous] = next;
    if (next !== -1) this.#previous[next] = previous;
  }

  #relink(node: number): void {
    const next = this.#next[node] as number;
    const previous = this.#previous[node] as number;
    this.#next[previous] = node;
    if (next !== -1) this.#previous[next] = node;
  }
}
