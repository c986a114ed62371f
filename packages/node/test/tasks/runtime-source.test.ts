import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLogger, systemClock } from '@swarm/api';
import test, { type ExecutionContext } from 'ava';
import { until } from '@swarm/sim';
import type { DaemonOptions } from '../../src/daemon/options.js';
import { chooseRuntime, decideRuntime } from '../../src/tasks/runtime-choice.js';
import { EngineWait } from '../../src/tasks/runtime-source.js';
import { testNode, tokenOf } from '../support/nodes.js';

const ENVIRONMENT = { clock: systemClock(), logger: silentLogger, random: Math.random };

function optionsFor(dataRoot: string, runtime: DaemonOptions['runtime']): DaemonOptions {
  return {
    dataRoot,
    runtime,
    socket: join(dataRoot, 'swarm.sock'),
    engineSocket: join(dataRoot, 'engine.sock'),
    mesh: 'userspace',
    cgroupParent: 'swarm-test',
    logLevel: 'error',
    logFormat: 'json',
    nodeLabels: {},
    meshBind: [],
    addresses: { listenAddr: '', advertiseAddr: '', dataPathAddr: '' },
  };
}

async function folderFor(t: ExecutionContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'swarm-runtime-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** Answers like an engine that is asked whether it is there. */
async function startEngine(t: ExecutionContext, socket: string): Promise<void> {
  const server = createServer((_request, response) => {
    response.setHeader('api-version', '1.44');
    response.end('OK');
  });
  t.teardown(() => server.close());
  await new Promise<void>((resolve) => server.listen(socket, resolve));
}

test('the flag decides, else the remembered runtime, else the signs of an engine', (t) => {
  const decide = (
    wanted: DaemonOptions['runtime'],
    remembered: 'docker' | 'process' | undefined,
    hasEngine: boolean,
  ) => decideRuntime({ wanted, remembered, hasEngine });
  t.is(decide('auto', undefined, false), 'process');
  t.is(decide('auto', undefined, true), 'docker');
  t.is(decide('auto', 'docker', false), 'docker', 'the engine is late');
  t.is(decide('auto', 'process', true), 'process', 'an engine was installed since');
  t.is(decide('process', 'docker', true), 'process');
  t.is(decide('docker', 'process', false), 'docker');
});

test('a node in a cluster waits for its engine, and never falls back to plain processes', async (t) => {
  const folder = await folderFor(t);
  const options = optionsFor(folder, 'auto');
  await writeFile(join(folder, 'runtime'), 'docker\n');
  const { source, engineSocket } = await chooseRuntime(options, true, ENVIRONMENT);
  t.teardown(() => source.close());
  t.is(source.runtime, undefined);
  t.is(engineSocket, options.engineSocket);
  t.regex(source.waiting, /^waiting for the Docker Engine at .*engine\.sock.*--runtime process/);
  await startEngine(t, options.engineSocket);
  t.is((await source.ready()).kind, 'docker');
  t.is(source.waiting, '');
});

test('the choice is remembered; a node outside a cluster chooses again', async (t) => {
  const folder = await folderFor(t);
  const word = () => readFile(join(folder, 'runtime'), 'utf8');
  const choose = async (runtime: DaemonOptions['runtime'], inCluster: boolean) => {
    const { source } = await chooseRuntime(optionsFor(folder, runtime), inCluster, ENVIRONMENT);
    await source.close();
    return (await word()).trim();
  };
  t.is(await choose('auto', false), 'process', 'no sign of an engine');
  t.is(await choose('docker', true), 'docker');
  t.is(await choose('auto', true), 'docker');
  t.is(await choose('auto', false), 'process');
  await startEngine(t, optionsFor(folder, 'auto').engineSocket);
  t.is(await choose('auto', true), 'process', 'a later engine changes nothing');
  t.is(await choose('auto', false), 'docker');
  t.is(await choose('process', true), 'process');
});

test('a daemon answers while its engine is late, and takes tasks when it is there', async (t) => {
  let isThere = false;
  const node = await testNode(t, {
    runtime: (runtime) => {
      const wait = new EngineWait({
        ...ENVIRONMENT,
        engineSocket: '/nowhere/engine.sock',
        answers: async () => isThere,
        make: () => runtime,
      });
      void wait.begin();
      return wait;
    },
  });
  const nodeId = await node.init();
  t.like(node.daemon.info(), { state: 'active', controlAvailable: true });
  t.regex(node.daemon.info().error, /^waiting for the Docker Engine at \/nowhere/);
  const state = () => node.daemon.manager()!.store.get('node', nodeId)?.Status.State;
  t.not(state(), 'ready', 'it takes no tasks');
  isThere = true;
  await until('it takes tasks', () => state() === 'ready');
  t.is(node.daemon.info().error, '');
});

test('a node whose engine never comes can leave, and closes at once', async (t) => {
  const manager = await testNode(t);
  await manager.init();
  const worker = await testNode(t, {
    runtime: (runtime) =>
      new EngineWait({
        ...ENVIRONMENT,
        engineSocket: '/nowhere/engine.sock',
        answers: async () => false,
        make: () => runtime,
      }),
  });
  const joined = worker.join(tokenOf(manager, 'Worker'), manager.address);
  const refusal = t.throwsAsync(joined, { message: /the node left/ });
  await until(
    'it has joined',
    () =>
      worker.daemon.info().state !== 'inactive' &&
      worker.log.some((line) => line.includes('joined the cluster')),
  );
  t.regex(worker.daemon.info().error, /waiting for the Docker Engine/);
  await worker.daemon.leave({ force: true });
  await refusal;
  t.is(worker.daemon.info().state, 'inactive');
});
