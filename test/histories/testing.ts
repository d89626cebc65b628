import { historyText, parseHistory } from './history.ts';
import { type Operation, operationsOf } from './operation.ts';
import { Recorder } from './recorder.ts';

/** A recorder whose clock goes on by a millisecond with every event. */
export function steadyRecorder(): Recorder {
  let timeMs = 0;
  return new Recorder(() => timeMs++);
}

/** What a recorder took down, as a reader of its file sees it. */
export function operationsIn({ events }: Recorder): readonly Operation[] {
  return operationsOf(parseHistory(historyText({ comments: [], events })).events);
}
