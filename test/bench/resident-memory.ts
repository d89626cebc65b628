import { readFileSync } from 'node:fs';

export interface ResidentMemory {
  readonly allMiB: number;
  /** Its own: without the pages of files it has mapped, the store's among them, which the system takes back when it wants. */
  readonly ownMiB: number;
}

/** Of a process, as Linux tells it. @throws Error elsewhere, and where the process is gone */
export function residentMemory(pid: number): ResidentMemory {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return { allMiB: mebibytes(status, 'VmRSS'), ownMiB: mebibytes(status, 'RssAnon') };
}

function mebibytes(status: string, field: string): number {
  const kibibytes = new RegExp(`^${field}:\\s*(\\d+) kB$`, 'm').exec(status)?.[1];
  if (kibibytes === undefined) throw new Error(`/proc has no ${field}`);
  return Number(kibibytes) / 1_024;
}

const SAMPLE_MS = 50;

/** The highest figures of a process while `work` runs. */
export async function peakMemory(pid: number, work: () => Promise<void>): Promise<ResidentMemory> {
  let peak = residentMemory(pid);
  const sample = (): void => {
    const { allMiB, ownMiB } = residentMemory(pid);
    peak = { allMiB: Math.max(peak.allMiB, allMiB), ownMiB: Math.max(peak.ownMiB, ownMiB) };
  };
  const timer = setInterval(sample, SAMPLE_MS);
  try {
    await work();
    sample();
  } finally {
    clearInterval(timer);
  }
  return peak;
}
