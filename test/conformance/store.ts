import { afterEach, beforeEach, describe } from 'vitest';
import { describeChanges } from './store/changes.ts';
import { describeClosing } from './store/closing.ts';
import { describeCommits } from './store/commits.ts';
import { describeIdentity } from './store/identity.ts';
import { describeModel } from './store/model.ts';
import { describeOpening } from './store/opening.ts';
import { describeScanning } from './store/scanning.ts';
import { type StoreCapabilities, type StoreMedium, StoreUnderTest } from './store/subject.ts';
import { describeUpdating } from './store/updating.ts';

export { STORE_NAME } from './store/subject.ts';

/** The contract of the Store port, the same for every adapter. */
export function describeStore(
  name: string,
  makeMedium: () => Promise<StoreMedium>,
  capabilities: StoreCapabilities,
): void {
  describe(`${name} as a store`, () => {
    const subject = new StoreUnderTest();
    beforeEach(async () => subject.begin(await makeMedium()));
    afterEach(() => subject.end());

    describeOpening(subject, capabilities);
    describeUpdating(subject);
    describeCommits(subject);
    describeChanges(subject);
    describeScanning(subject);
    describeIdentity(subject);
    describeClosing(subject);
    describeModel(makeMedium, capabilities);
  });
}
