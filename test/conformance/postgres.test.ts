import { setTimeout } from 'node:timers/promises';
import { openPostgresDatabase } from '@meridian/server/adapters/postgres/postgres-database';
import { SharedStore } from '@meridian/server/adapters/shared/shared-store';
import { systemClock } from '@meridian/server/adapters/system/system-clock';
import { afterAll, beforeAll } from 'vitest';
import { PostgresServer } from '../support/postgres.ts';
import { systemRandom } from '../support/system-random.ts';
import { describeSharedNodes } from './shared-nodes.ts';
import { describeStore, STORE_NAME } from './store.ts';

const PARTS = { storeName: STORE_NAME, clock: systemClock, random: systemRandom };

let server: PostgresServer;
beforeAll(async () => {
  server = await PostgresServer.start();
});
afterAll(() => server?.remove());

async function makeMedium() {
  const name = await server.newDatabase();
  return {
    open: async () => {
      const database = await openPostgresDatabase({ settings: server.settings(name), ...PARTS });
      return new SharedStore({ database, ...PARTS });
    },
    dispose: () => server.query(`DROP DATABASE ${name} WITH (FORCE)`).then(() => undefined),
  };
}

describeStore('postgres', makeMedium, { isExclusive: false, propertyRuns: 10 });
describeSharedNodes('postgres', makeMedium, (delayMs) => setTimeout(delayMs));
