import fastify from 'fastify';

/**
 * What Meridian is measured against: a plain Fastify that answers the same JSON and does nothing for it. Started by
 * `servers.ts`, which hands it a sample of either answer; it tells its address, and ends with the one that started it.
 */
const [got, written] = JSON.parse(process.argv[2] ?? '[{},{}]') as [object, object];
const app = fastify();
app.get<{ Params: { key: string } }>('/kv/:key', async (request) => ({ ...got, key: request.params.key }));
app.put<{ Params: { key: string }; Body: { value: unknown } }>('/kv/:key', async (request, reply) => {
  if (request.body.value === undefined) return reply.code(400).send({});
  return { ...written, key: request.params.key };
});
const address = await app.listen({ host: '127.0.0.1', port: 0 });
process.on('disconnect', () => process.exit(0));
process.on('SIGTERM', () => process.exit(0));
process.send?.({ url: address });
