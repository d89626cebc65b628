import { showOperation } from './explain.ts';
import type { Finding } from './finding.ts';
import { byKey, type Operation } from './operation.ts';

/**
 * A set that only grows: `add` of an element, `read` of all (`null` for none yet). Checks every read, so a final one too:
 * - an element whose `add` was acknowledged, or that an earlier read has shown, is there (*lost*);
 * - nothing is there that nobody has tried to add by then, or whose `add` failed (*unexpected*);
 * - nothing is there twice (*duplicated*).
 */
export function checkSets(operations: readonly Operation[]): readonly Finding[] {
  return [...byKey(operations)].flatMap(([key, ofKey]) => checkSet(key, ofKey));
}

function checkSet(key: string, operations: readonly Operation[]): readonly Finding[] {
  const findings: Finding[] = [];
  const adds = new Map(operations.filter(({ f }) => f === 'add').map((add) => [textOf(add.input), add]));
  const reads = operations.filter(({ f, outcome }) => f === 'read' && outcome === 'ok');
  /** When it was known at the latest that an element is in. */
  const knownAt = new Map<string, number>();
  for (const [element, { outcome, returnedAt }] of adds) if (outcome === 'ok') knownAt.set(element, returnedAt);
  for (const read of reads) {
    for (const element of elementsOf(read))
      knownAt.set(element, Math.min(knownAt.get(element) ?? Number.POSITIVE_INFINITY, read.returnedAt));
  }
  const complain = (check: string, text: string, read: Operation) =>
    findings.push({ check, key, text: `${text}: ${showOperation(read)}` });
  for (const read of reads) {
    const elements = elementsOf(read);
    const present = new Set(elements);
    const twice = elements.filter((element, at) => elements.indexOf(element) !== at);
    for (const element of new Set(twice)) complain('set: duplicated', `${element} is there twice`, read);
    for (const element of present) {
      const add = adds.get(element);
      if (!add || add.calledAt > read.returnedAt) complain('set: unexpected', `nobody has added ${element}`, read);
      else if (add.outcome === 'failed' || add.outcome === 'refused')
        complain('set: unexpected', `the add of ${element} failed`, read);
    }
    for (const [element, at] of knownAt) {
      if (at < read.calledAt && !present.has(element)) complain('set: lost', `${element} is not there`, read);
    }
  }
  return findings;
}

function elementsOf({ output }: Operation): readonly string[] {
  return ((output ?? []) as readonly unknown[]).map(textOf);
}

function textOf(value: unknown): string {
  return JSON.stringify(value);
}
