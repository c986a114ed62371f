import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, rmSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import test from 'ava';
import { testNode, tokenOf } from './support/nodes.js';

const SUPPORT = join(import.meta.dirname, 'support');
/** Modules that only managers need. */
const OF_MANAGERS = /\/packages\/(manager|raft)\/|\/node_modules\/@swarm\/(manager|raft)\//;

test('a process that joins as a worker loads no module of the manager or of Raft', async (t) => {
  t.timeout(60_000);
  const manager = await testNode(t);
  await manager.init();
  const folder = await mkdtemp(join(tmpdir(), 'swarm-modules-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, 'modules');
  const worker = spawn(
    process.execPath,
    [
      ...['--import', join(SUPPORT, 'record-modules.js'), join(SUPPORT, 'worker-process.js')],
      ...[tokenOf(manager, 'Worker'), manager.address],
    ],
    { stdio: ['pipe', 'pipe', 'inherit'], env: { ...process.env, SWARM_TEST_MODULES: file } },
  );
  const said: string[] = [];
  for await (const line of createInterface(worker.stdout)) {
    if (line === 'READY') break;
    said.push(line);
  }
  const [own, ...required] = said;
  const loaded = [...readFileSync(file, 'utf8').trim().split('\n'), ...required];
  const ended = once(worker, 'exit');
  worker.stdin.end();
  t.deepEqual(await ended, [0, null]);
  rmSync(own!, { recursive: true, force: true });
  // The hook works, and the worker has loaded what workers need.
  for (const name of ['node', 'worker', 'http', 'identity'])
    t.true(
      loaded.some((url) => url.includes(`/packages/${name}/`)),
      name,
    );
  t.deepEqual(
    loaded.filter((url) => OF_MANAGERS.test(url)),
    [],
  );
});
