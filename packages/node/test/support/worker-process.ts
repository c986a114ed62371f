// A process that joins a cluster as a worker, answers its local API, and says so: `READY` on a line.
import { get } from 'node:http';
import { join } from 'node:path';
import { testNode } from './nodes.js';

const [token, remote] = process.argv.slice(2) as [string, string];
const node = await testNode({ teardown() {} }, {});
await node.join(token, remote);
const socketPath = join(node.folder, 'api.sock');
await node.api.listen(socketPath);
for (const [path, expected] of [
  ['/info', 200],
  ['/services', 503],
  ['/unknown', 404],
] as const) {
  const status = await new Promise((resolve, reject) => {
    get({ socketPath, path, agent: false }, (answer) => {
      answer.resume();
      resolve(answer.statusCode);
    }).once('error', reject);
  });
  if (status !== expected) throw new Error(`${path} was answered with ${status}`);
}
console.log(node.folder);
// Required CommonJS modules, which the loader's hook does not see.
const { createRequire } = await import('node:module');
for (const path of Object.keys(createRequire(import.meta.url).cache)) console.log(`file://${path}`);
console.log('READY');
process.stdin.resume().once('end', () => process.exit());
