import { describe } from 'vitest';
import { itKeepsItsInvariants } from './seeds.testing.ts';

describe('a simulated cluster under faults', () => {
  itKeepsItsInvariants(101, 200);
});
