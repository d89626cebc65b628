import { showOperation } from './explain.ts';
import type { Finding } from './finding.ts';
import { byKey, type Operation } from './operation.ts';

/**
 * A counter that only grows: `increment` by a number above 0, `read` (`null` for none yet). Checks every read, so a final
 * one too:
 * - it shows at least all that was acknowledged before it began (*lost*);
 * - at most all that was begun before it ended and did not fail: each increment counts once (*counted twice*);
 * - it shows no less than a read that ended before it began (*went back*).
 */
export function checkCounters(operations: readonly Operation[]): readonly Finding[] {
  return [...byKey(operations)].flatMap(([key, ofKey]) => checkCounter(key, ofKey));
}

function checkCounter(key: string, operations: readonly Operation[]): readonly Finding[] {
  const increments = operations.filter(
    ({ f, outcome }) => f === 'increment' && (outcome === 'ok' || outcome === 'open'),
  );
  const reads = operations.filter(({ f, outcome }) => f === 'read' && outcome === 'ok');
  const findings: Finding[] = [];
  for (const read of reads) {
    const shown = shownBy(read);
    const acknowledged = sum(increments.filter(({ returnedAt }) => returnedAt < read.calledAt));
    const attempted = sum(increments.filter(({ calledAt }) => calledAt < read.returnedAt));
    const seen = Math.max(
      0,
      ...reads.filter(({ returnedAt }) => returnedAt < read.calledAt).map((earlier) => shownBy(earlier)),
    );
    const complain = (check: string, text: string) =>
      findings.push({ check, key, text: `${text}: ${showOperation(read)}` });
    if (shown < acknowledged) complain('counter: lost', `${acknowledged} had been acknowledged`);
    if (shown > attempted) complain('counter: counted twice', `only ${attempted} had been tried`);
    if (shown < seen) complain('counter: went back', `${seen} had been read before`);
  }
  return findings;
}

function shownBy({ output }: Operation): number {
  return Number(output ?? 0);
}

function sum(increments: readonly Operation[]): number {
  return increments.reduce((total, { input }) => total + Number(input), 0);
}
