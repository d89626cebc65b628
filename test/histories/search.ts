import { EventList } from './event-list.ts';
import { forHistory, type HistoryModel, isObservation, type Model, type State, type Step } from './model.ts';
import type { Operation } from './operation.ts';
import { SeenConfigurations } from './seen-configurations.ts';
import type { Progress, Verdict } from './verdict.ts';

interface Candidate {
  readonly operation: Operation;
  readonly step: Step;
}

/** An operation that may be placed next. `index` is its place among the answered or the open ones. */
interface Choice {
  readonly isOpen: boolean;
  readonly index: number;
  readonly next: State;
  readonly rank: number;
}

interface Placed extends Omit<Choice, 'rank' | 'next'> {
  readonly before: State;
  readonly usedBefore: bigint;
}

interface Branch {
  readonly choices: readonly Choice[];
  taken: number;
  readonly depth: number;
}

const TAIL = 12;

export interface SearchOptions {
  readonly stepsMax: number;
  /**
   * Lets open operations take effect any number of times, but for those that wrote what somebody saw. There are more orders
   * then, so none among them means none at all; and far fewer configurations, as it does not matter what has been used up.
   */
  readonly isLenient?: boolean;
  /** What the key may hold at first; what the model says where absent. */
  readonly initial?: (model: HistoryModel) => readonly State[];
}

/** One search. See `checkLinearizable` for what it does and why it may. */
export class Search {
  readonly #model: HistoryModel;
  readonly #stepsMax: number;
  readonly #answered: readonly Candidate[];
  /** In the order of their calls. */
  readonly #open: readonly Candidate[];
  /** Open operations with the same effect on every state have the same text here. */
  readonly #effects: readonly string[];
  readonly #mayRepeat: readonly boolean[];
  readonly #list: EventList;
  readonly #seen = new SeenConfigurations();
  readonly #trail: Placed[] = [];
  readonly #branches: Branch[] = [];
  /** Those not tried yet. */
  readonly #initial: State[];
  #state: State;
  #usedOpen = 0n;
  #openPlaced = 0;
  #steps = 0;
  #best: Progress | undefined;
  #bestReach: readonly number[] = [-1, -1, -1];

  constructor(operations: readonly Operation[], model: Model, { stepsMax, isLenient = false, initial }: SearchOptions) {
    this.#model = forHistory(model, operations);
    this.#stepsMax = stepsMax;
    const candidates = operations.flatMap((operation) => {
      const step = this.#model.step(operation);
      return step ? [{ operation, step }] : [];
    });
    this.#answered = candidates.filter(({ operation }) => operation.outcome !== 'open');
    this.#open = candidates.filter(({ operation }) => operation.outcome === 'open');
    this.#effects = this.#open.map(({ operation }) => this.#model.effect(operation));
    this.#mayRepeat = this.#open.map(({ operation }) => isLenient && !this.#model.isSeen(operation));
    this.#list = new EventList(this.#answered.map(({ operation }) => operation));
    this.#initial = [...(initial?.(this.#model) ?? [model.initial])];
    this.#state = this.#initial.pop() ?? model.initial;
  }

  run(): Verdict {
    for (;;) {
      this.#placeObservations();
      if (this.#list.isEmpty) return { verdict: 'linearizable', order: this.#order(), steps: this.#steps };
      this.#note();
      const frontier = this.#list.frontier();
      const isNew = this.#seen.add(frontier, this.#state, this.#usedOpen);
      this.#branches.push({ choices: isNew ? this.#choices(frontier) : [], taken: 0, depth: this.#trail.length });
      if (!this.#advance() && !this.#beginAnew())
        return { verdict: 'violated', ...this.#progress(), steps: this.#steps };
      if (this.#steps > this.#stepsMax) return { verdict: 'undecided', ...this.#progress(), steps: this.#steps };
    }
  }

  /** Cut 1: what fits and changes nothing, whatever the state, stands here. */
  #placeObservations(): void {
    this.#list.forFrontier((index) => {
      const { operation, step } = this.#answered[index] as Candidate;
      this.#steps++;
      if (isObservation(operation) && step(this.#state) !== undefined)
        this.#place({ isOpen: false, index }, this.#state);
    });
  }

  #beginAnew(): boolean {
    const state = this.#initial.pop();
    if (state === undefined) return false;
    while (this.#trail.length > 0) this.#takeBack();
    this.#state = state;
    return true;
  }

  /** Takes the next choice, going back as far as that needs. @returns whether there was one */
  #advance(): boolean {
    for (;;) {
      const branch = this.#branches.at(-1);
      if (!branch) return false;
      while (this.#trail.length > branch.depth) this.#takeBack();
      const choice = branch.choices[branch.taken++];
      if (choice) {
        this.#place(choice, choice.next);
        return true;
      }
      this.#branches.pop();
    }
  }

  #place({ isOpen, index }: Pick<Choice, 'isOpen' | 'index'>, next: State): void {
    this.#trail.push({ isOpen, index, before: this.#state, usedBefore: this.#usedOpen });
    if (isOpen) this.#openPlaced++;
    if (!isOpen) this.#list.lift(index);
    else if (!this.#mayRepeat[index]) this.#usedOpen |= 1n << BigInt(index);
    this.#state = next;
  }

  #takeBack(): void {
    const { isOpen, index, before, usedBefore } = this.#trail.pop() as Placed;
    if (isOpen) this.#openPlaced--;
    else this.#list.unlift(index);
    this.#usedOpen = usedBefore;
    this.#state = before;
  }

  /** Those that may come next, the promising first: what lets a waiting answer come true, then answered before open ones. */
  #choices(frontier: readonly number[]): readonly Choice[] {
    const choices: Choice[] = [];
    const deadline = this.#list.deadline();
    const blocked = frontier.filter((index) => this.#answered[index]?.step(this.#state) === undefined);
    const consider = (isOpen: boolean, index: number, { step }: Candidate) => {
      this.#steps++;
      const next = step(this.#state);
      if (next === undefined || (isOpen && next === this.#state) || this.#isOpenForNothing(step, next)) return;
      const frees = blocked.some((other) => this.#answered[other]?.step(next) !== undefined);
      const rank = (frees ? 0 : 2) + (isOpen ? 1 : 0) + (!isOpen && index === deadline ? -0.5 : 0);
      choices.push({ isOpen, index, next, rank });
    };
    for (const index of frontier) consider(false, index, this.#answered[index] as Candidate);
    const before = this.#list.returnedAt(deadline);
    const effects = new Set<string>();
    for (const [index, candidate] of this.#open.entries()) {
      if (candidate.operation.calledAt > before) break;
      if ((this.#usedOpen & (1n << BigInt(index))) !== 0n || effects.has(this.#effects[index] as string)) continue;
      effects.add(this.#effects[index] as string);
      consider(true, index, candidate);
    }
    return choices.sort((one, other) => one.rank - other.rank);
  }

  /** Cut 2: the open operation placed last would make no difference to this one. */
  #isOpenForNothing(step: Step, next: State): boolean {
    const last = this.#trail.at(-1);
    return last?.isOpen === true && step(last.before) === next;
  }

  #order(): readonly Operation[] {
    return this.#trail.map((placed) => this.#operationOf(placed));
  }

  #operationOf({ isOpen, index }: Pick<Choice, 'isOpen' | 'index'>): Operation {
    return (isOpen ? this.#open : this.#answered)[index]?.operation as Operation;
  }

  /**
   * Keeps the attempt that has come furthest: by the first answer that it could not explain, then by how many it placed, then
   * by how few of those without one it took to its help.
   */
  #note(): void {
    const deadline = this.#list.returnedAt(this.#list.deadline());
    const reach = [deadline, this.#trail.length - this.#openPlaced, -this.#openPlaced];
    const at = reach.findIndex((part, index) => part !== this.#bestReach[index]);
    if (at === -1 || (reach[at] as number) < (this.#bestReach[at] as number)) return;
    this.#bestReach = reach;
    this.#best = this.#picture();
  }

  #progress(): Progress {
    return this.#best as Progress;
  }

  #picture(): Progress {
    const deadline = this.#list.deadline();
    const stuck = this.#list.frontier().sort((one, other) => this.#list.returnedAt(one) - this.#list.returnedAt(other));
    const until = this.#list.returnedAt(deadline);
    return {
      placed: this.#trail.length,
      tail: this.#trail.slice(-TAIL).map((placed) => this.#operationOf(placed)),
      state: this.#model.show(this.#state),
      stuck: stuck.map((index) => this.#answered[index]?.operation as Operation),
      open: this.#open
        .filter((_, index) => (this.#usedOpen & (1n << BigInt(index))) === 0n)
        .map(({ operation }) => operation)
        .filter(({ calledAt }) => calledAt < until),
    };
  }
}
