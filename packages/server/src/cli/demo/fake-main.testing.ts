import { findNode } from '../../config/cluster-file.ts';
import { FakeNode } from '../fake-node.testing.ts';
import { run } from '../program.ts';

/** The command line over nodes that keep nothing: what `demo` and `serve` do with processes, without a store. */
const log = (level: number) => (figures: object, message: string) =>
  void process.stdout.write(`${JSON.stringify({ level, ...figures, msg: message })}\n`);

process.exitCode = await run(process.argv.slice(2), {
  serve: async ({ clusterFile, nodeName }) => {
    const node = new FakeNode();
    const place = findNode(clusterFile, nodeName);
    node.name = nodeName;
    node.region = place?.region.name ?? '';
    await node.start(Number(place?.node.http.split(':')[1]));
    return { log: { info: log(30), warn: log(40), error: log(50) }, stop: () => node.stop() };
  },
  stdout: process.stdout,
  stderr: process.stderr,
  stdin: process.stdin,
  env: process.env,
  folder: process.cwd(),
  version: '0.1.0',
  self: [process.execPath, import.meta.filename],
  signals: process,
});
