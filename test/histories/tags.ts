import { showOperation } from './explain.ts';
import type { Finding } from './finding.ts';
import { valueWrittenBy } from './model.ts';
import { byKey, type Operation } from './operation.ts';

/**
 * A tag names one value for ever, and a value that was written once has one tag: in all answers, those of relaxed reads too.
 * Needs histories in which each write has a value of its own.
 */
export function checkTags(operations: readonly Operation[]): readonly Finding[] {
  return [...byKey(operations)].flatMap(([key, ofKey]) => checkKey(key, ofKey));
}

interface Named {
  readonly tag: string;
  readonly value: string;
  readonly operation: Operation;
}

function checkKey(key: string, operations: readonly Operation[]): readonly Finding[] {
  const byTag = new Map<string, Named>();
  const byValue = new Map<string, Named>();
  const findings: Finding[] = [];
  const differ = (text: string, one: Named, other: Named) => {
    const both = `${showOperation(one.operation)}; ${showOperation(other.operation)}`;
    findings.push({ check: 'tags', key, text: `${text}: ${both}` });
  };
  for (const named of operations.flatMap(namedBy)) {
    const sameTag = byTag.get(named.tag) ?? named;
    const sameValue = byValue.get(named.value) ?? named;
    byTag.set(named.tag, sameTag);
    byValue.set(named.value, sameValue);
    if (sameTag.value !== named.value) differ(`tag ${named.tag} names two values`, sameTag, named);
    else if (sameValue.tag !== named.tag)
      differ(`${named.value} has the tags ${sameValue.tag} and ${named.tag}`, sameValue, named);
  }
  return findings;
}

function namedBy(operation: Operation): readonly Named[] {
  const { f, output, outcome, tag } = operation;
  if (outcome !== 'ok' || tag === undefined) return [];
  const value = f === 'read' || f === 'relaxed-read' ? output : valueWrittenBy(operation);
  return value === null || value === undefined ? [] : [{ tag, value: JSON.stringify(value), operation }];
}
