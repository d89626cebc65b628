import { readFileSync } from 'node:fs';

/** Linux counts it in hundredths of a second, whatever the machine. */
const TICKS_PER_SECOND = 100;
/** Places in /proc/<pid>/stat, counted from the one after the name in parentheses. */
const USER_AT = 11;
const SYSTEM_AT = 12;

/** Seconds of processor time that a process has used, in all its threads; `undefined` where the system does not tell. */
export function processorSeconds(pid: number): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return (Number(fields[USER_AT]) + Number(fields[SYSTEM_AT])) / TICKS_PER_SECOND;
  } catch {
    return undefined;
  }
}
