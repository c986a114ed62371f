import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { attachedSandbox } from '../../src/agent/task-sandbox.js';
import { makeTask, NODE_FACTS } from '../support/make-task.js';
import { containers, engineLacks, openDockerRuntime, TEST_IMAGE, TestEngine } from './engine.js';

const NO_OBJECTS = { get: () => undefined };

const lacks = engineLacks();
const { signal } = new AbortController();

if (lacks === undefined) {
  const engine = new TestEngine();
  test.before(async () => {
    await engine.start();
    await engine.importImage();
  });
  test.after.always(() => engine.close());

  const make = async (name: string, body: object): Promise<string> => {
    const { Id } = await engine.api<{ Id: string }>(
      'POST',
      `/containers/create?name=${name}`,
      Buffer.from(JSON.stringify(body)),
      'application/json',
    );
    await engine.api('POST', `/containers/${Id}/start`);
    return Id;
  };

  // Containers as the daemon made them before tasks named their sandbox.
  test.serial('a running task of an older daemon is adopted with its sandbox', async (t) => {
    const harness = openDockerRuntime(engine);
    try {
      const owner = readFileSync(join(harness.folder, 'owner'), 'utf8').trim();
      const attached = makeTask(`old${process.pid}x1`, { address: '198.18.0.85/32' });
      const plain = makeTask(`old${process.pid}x2`, { slot: 2 });
      const Image = TEST_IMAGE;
      const Entrypoint = ['sleep', '600'];
      const sandboxId = await make(`swarm-sandbox-${attached.ID}`, {
        Image,
        Entrypoint,
        Labels: { 'swarm.owner': owner, 'swarm.role': 'sandbox' },
        HostConfig: { NetworkMode: 'none' },
      });
      for (const [task, NetworkMode] of [
        [attached, `container:${sandboxId}`],
        [plain, 'none'],
      ] as const) {
        await make(task.Name, {
          Image,
          Entrypoint,
          Labels: {
            'com.docker.swarm.task': '',
            'com.docker.swarm.task.id': task.ID,
            'com.docker.swarm.task.name': task.Name,
            'swarm.owner': owner,
            'swarm.role': 'task',
          },
          HostConfig: { NetworkMode },
        });
      }
      const { runtime } = harness;
      const left = (await runtime.list()).map((task) => [task.taskId, task.sandboxId, task.state]);
      t.deepEqual(
        left.sort(),
        [attached, plain].map(({ ID }) => [ID, ID, 'running']),
      );
      t.deepEqual([...(await runtime.listSandboxes())].sort(), [attached.ID, plain.ID]);
      const network = { backend: 'nftables' as const, attach: async () => {} };
      const context = { runtime, network, node: NODE_FACTS, objects: NO_OBJECTS, signal };
      const sandbox = await attachedSandbox(attached, context);
      t.regex(sandbox.netns ?? '', /^\/proc\/\d+\/ns\/net$/);
      t.deepEqual(await attachedSandbox(plain, context), { id: plain.ID });
      for (const { ID } of [attached, plain]) {
        t.not(runtime.pid(ID), undefined);
        await runtime.stopSandbox(ID, { graceMs: 0 });
        t.like(await runtime.wait(ID), { kind: 'exit', code: 137 });
      }
      t.deepEqual(await containers(engine, 'swarm.role=sandbox'), []);
      t.deepEqual(await runtime.listSandboxes(), []);
    } finally {
      await harness.close();
    }
  });
} else {
  test.skip(`docker runtime's old layout: SKIPPED, ${lacks}`, () => {});
}
