import { TIME_MS_MAX } from '@meridian/core/causality/hybrid-clock';
import { LEDGER_ENTRIES_MAX } from '@meridian/core/causality/ledger';
import { MeridianError } from '@meridian/core/wire/errors';
import { Type } from 'typebox';
import type { PortableRecord } from '../node/service.ts';
import { checkStored, decodeBase64 } from './envelope.ts';
import { checkKey } from './keys.ts';
import { CONTENT_TYPE_LENGTH_MAX, RECORDS_MAX } from './limits.ts';
import { optionsOf } from './request.ts';
import { answered } from './respond.ts';
import {
  jsonAnswer,
  mapOf,
  nullable,
  OF_WRITES,
  OptionsHeaders,
  OptionsQuery,
  operationResponses,
  responses,
  strictObject,
} from './schemas.ts';
import type { App, Site } from './site.ts';

const STORES_MAX = 1000;
const SIBLINGS_MAX = 1000;
const CHANGES_LIMIT_DEFAULT = 100;
const CHANGES_LIMIT_MAX = 1000;

const Whole = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });
const Sequence = Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER });
const Instant = Type.Integer({ minimum: 0, maximum: TIME_MS_MAX, description: 'Milliseconds since 1970.' });
const STORE_PATTERN = '^[A-Za-z0-9._-]{3,200}$';

const Vector = (description: string) =>
  mapOf(Sequence, { description, maxProperties: STORES_MAX, propertyNames: { pattern: STORE_PATTERN } });
const SIBLING = {
  store: Type.String({ pattern: STORE_PATTERN }),
  sequence: Sequence,
  timeMs: Instant,
  body: nullable(Type.String({ description: 'Base64.' })),
  contentType: Type.String({ maxLength: CONTENT_TYPE_LENGTH_MAX, pattern: '^[ -~]*$' }),
  expiresAtMs: nullable(Instant),
  session: Type.Optional(Vector('What the session of the writer had seen.')),
};
const PortableSibling = strictObject(SIBLING);
const PortableHidden = strictObject({ ...SIBLING, hiddenAtMs: Instant, keepUntilMs: Instant });
const Portable = strictObject(
  {
    namespace: Type.String({ minLength: 1, maxLength: 200 }),
    key: Type.String(),
    vector: Vector('Store -> the highest sequence seen of it.'),
    siblings: Type.Array(PortableSibling, { maxItems: SIBLINGS_MAX }),
    ledger: Type.Optional(
      Type.Array(PortableHidden, {
        maxItems: LEDGER_ENTRIES_MAX,
        description: 'Values that a last-writer-wins choice hid.',
      }),
    ),
  },
  { description: 'A versioned record. `body: null` is a tombstone.' },
);

const Merged = Type.Object({
  applied: Type.Integer({ description: 'Records that changed something here.' }),
  ignored: Type.Integer({ description: 'Records that were known already.' }),
  concurrent: Type.Integer({ description: 'Of the applied, those whose key now has more than one live value.' }),
});
const Synced = Type.Object({
  partitionsCompared: Type.Integer(),
  partitionsDifferent: Type.Integer(),
  recordsSent: Type.Integer(),
  recordsReceived: Type.Integer(),
  tookMs: Type.Number(),
});
const Changes = Type.Object({
  store: Type.String(),
  changes: Type.Array(Type.Object({ sequence: Type.Integer(), record: Portable })),
  upTo: Type.Integer({ description: 'The next `since`.' }),
  isComplete: Type.Boolean({ description: 'Whether nothing stood above `upTo`.' }),
});

const tags = ['Between regions'];

export function replicationRoutes(app: App, site: Site): void {
  app.route({
    method: 'POST',
    url: '/replicate/',
    config: { body: 'records' },
    schema: {
      tags,
      summary: 'Merge versioned records',
      description: 'As the replication stream would: for bulk loads, offline transfer, other tools. Idempotent.',
      querystring: OptionsQuery,
      headers: OptionsHeaders,
      body: strictObject({ records: Type.Array(Portable, { maxItems: RECORDS_MAX }) }),
      response: operationResponses({ 200: jsonAnswer('What they did.', Merged) }, ['INVALID_KEY', ...OF_WRITES]),
    },
    handler: answered(site, async (request) => {
      const { records } = request.body as { records: readonly PortableRecord[] };
      records.forEach((record, at) => {
        checkRecord(record, `"records.${at}"`, site.limits.valueBytesMax);
      });
      return { status: 200, body: await site.service.replicate(records, optionsOf(site, request)) };
    }),
  });
  app.route({
    method: 'POST',
    url: '/replicate/sync',
    config: { body: 'json' },
    preValidation: (request, _reply, done) => {
      if (request.body === undefined) request.body = {};
      done();
    },
    schema: {
      tags,
      summary: 'Compare with a region, or all, now, and repair differences both ways',
      querystring: OptionsQuery,
      headers: OptionsHeaders,
      body: strictObject({ region: Type.Optional(Type.String()), namespace: Type.Optional(Type.String()) }),
      response: operationResponses({ 200: jsonAnswer('What was found and sent.', Synced) }, OF_WRITES),
    },
    handler: answered(site, async (request) => {
      const { region, namespace } = (request.body ?? {}) as { region?: string; namespace?: string };
      if (region !== undefined) checkRegion(site, region);
      return { status: 200, body: await site.service.sync(region, namespace, optionsOf(site, request)) };
    }),
  });
  app.route({
    method: 'GET',
    url: '/replicate/changes',
    schema: {
      tags,
      summary: "This store's changes after a sequence",
      querystring: strictObject({
        since: Type.Optional(Type.Integer({ ...Whole, default: 0 })),
        limit: Type.Optional(Type.Integer({ minimum: 1, maximum: CHANGES_LIMIT_MAX, default: CHANGES_LIMIT_DEFAULT })),
        namespace: Type.Optional(Type.String()),
      }),
      response: responses({ 200: jsonAnswer('Changes in order, each key once, at its latest.', Changes) }, [
        'NAMESPACE_NOT_FOUND',
        'STORE_UNAVAILABLE',
      ]),
    },
    handler: answered(site, async (request) => {
      const { since, limit, namespace } = request.query as { since?: number; limit?: number; namespace?: string };
      return { status: 200, body: await site.service.changes(since ?? 0, limit ?? CHANGES_LIMIT_DEFAULT, namespace) };
    }),
  });
}

/** What the schema cannot say. @throws INVALID_KEY, INVALID_BODY, VALUE_TOO_LARGE */
function checkRecord(record: PortableRecord, where: string, valueBytesMax: number): void {
  checkKey(record.key);
  for (const sibling of [...record.siblings, ...(record.ledger ?? [])]) {
    const seen = Object.hasOwn(record.vector, sibling.store) ? (record.vector[sibling.store] as number) : 0;
    if (seen < sibling.sequence)
      throw new MeridianError('INVALID_BODY', `${where} has a sibling that its vector has not seen.`);
    if (sibling.body === null) continue;
    const body = decodeBase64(sibling.body);
    if (!body) throw new MeridianError('INVALID_BODY', `${where} has a body that is not base64.`);
    if (body.length > valueBytesMax) {
      throw new MeridianError(
        'VALUE_TOO_LARGE',
        `${where} has a value of ${body.length} bytes; at most ${valueBytesMax} are taken.`,
        { bytes: body.length, bytesMax: valueBytesMax },
      );
    }
    checkStored(body, sibling.contentType, where);
  }
}

/** @throws INVALID_BODY */
export function checkRegion(site: Site, region: string): void {
  if (site.regions.includes(region)) return;
  throw new MeridianError('INVALID_BODY', `There is no region "${region.slice(0, 60)}".`, { regions: site.regions });
}
