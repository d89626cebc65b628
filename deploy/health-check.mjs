// `node health-check.mjs [live|ready]`: exit code 0 where the node of this container answers so, else 1 and one line.
// MERIDIAN_CLUSTER and MERIDIAN_NODE say which node that is, as they do for the node itself.
import { findNode, readClusterFile } from '../packages/server/src/config/cluster-file.ts';

const ANSWER_MS_MAX = 4_000;

async function check(probe) {
  const { MERIDIAN_CLUSTER: file = 'cluster.yaml', MERIDIAN_NODE: name = '' } = process.env;
  const place = findNode(readClusterFile(file), name);
  if (!place) throw new Error(`${file} names no node '${name}' (MERIDIAN_NODE)`);
  const url = `http://${place.node.http}/health/${probe}`;
  const answer = await fetch(url, { signal: AbortSignal.timeout(ANSWER_MS_MAX) });
  if (!answer.ok) throw new Error(`${url} answers ${answer.status}`);
}

const [probe = 'live'] = process.argv.slice(2);
try {
  await check(probe);
} catch (error) {
  const { message, cause } = error;
  console.error(`health-check: ${cause?.message ?? message}`);
  process.exitCode = 1;
}
