import { spawnSync } from 'node:child_process';
import { rmSync, statfsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Cluster, newCluster } from '../support/cluster.ts';
import { eventually } from '../support/eventually.ts';
import { ask } from '../support/http.ts';

const MIB = 1024 * 1024;
/** How much room the store has before its reserve, and what a file beside it then takes away. Others write to this disk too. */
const ROOM_BYTES = 1024 * MIB;
const BALLAST_BYTES = 1536 * MIB;

describe('a region whose disk is full', () => {
  let cluster: Cluster;

  beforeAll(async () => {
    cluster = await newCluster({ 'us-east': ['us-1'], 'eu-central': ['eu-1'] });
    const { bavail, bsize } = statfsSync(cluster.folder);
    await Promise.all([
      cluster.start('us-1', { args: ['--disk-reserve-bytes', String(bavail * bsize - ROOM_BYTES)] }),
      cluster.start('eu-1'),
    ]);
    await eventually(async () => (await cluster.client('us-1').health()).status === 'ok', {
      what: 'two connected nodes',
    });
  });

  afterAll(() => cluster?.remove());

  const put = (node: string, key: string) =>
    ask(`${cluster.url(node)}/kv/${key}`, { method: 'PUT', body: { value: key } });
  const get = (node: string, key: string) => ask(`${cluster.url(node)}/kv/${key}`);

  it('refuses writes with 507, goes on reading, and heals by itself when there is room', async () => {
    expect((await put('us-1', 'before')).status).toBe(201);
    const ballast = join(cluster.folder, 'ballast');
    const made = spawnSync('fallocate', ['-l', String(BALLAST_BYTES), ballast]);
    expect(made.status, 'fallocate (util-linux) makes the file that fills the disk').toBe(0);
    await eventually(async () => (await put('us-1', 'during')).status === 507, { what: 'a full disk' });
    const refused = await put('us-1', 'during');
    expect(refused.body).toMatchObject({ status: 507, code: 'STORE_FULL' });
    expect((await get('us-1', 'before')).status).toBe(200);
    expect((await get('us-1', 'during')).status).toBe(404);
    expect(await cluster.client('us-1').health()).toMatchObject({ status: 'degraded', store: { isWritable: false } });
    // The other region is not disturbed, and what it takes meanwhile is not lost to this one.
    expect((await put('eu-1', 'elsewhere')).status).toBe(201);

    rmSync(ballast);
    await eventually(async () => (await put('us-1', 'after')).status === 201, { what: 'writes once there is room' });
    await eventually(async () => (await get('us-1', 'elsewhere')).status === 200, {
      what: 'catching up with what came meanwhile',
    });
    await eventually(async () => (await get('eu-1', 'after')).status === 200, {
      what: 'replication after the disk was full',
    });
    expect((await cluster.client('us-1').health()).store.isWritable).toBe(true);
  });
});
