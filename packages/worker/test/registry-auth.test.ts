import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { open } from './support/agent-bench.js';
import { makeTask } from './support/make-task.js';
import { until } from '@swarm/sim';
import { putTask, type ScriptedManager } from './support/scripted-manager.js';

const AUTH = Buffer.from('{"username":"u","password":"correct horse"}').toString('base64url');
const task = makeTask('t1', { spec: { RegistryAuth: AUTH } });

function giving(manager: ScriptedManager): void {
  manager.onHello = () => {
    manager.welcome();
    manager.change('complete', [putTask(task)]);
  };
}

/** Files below a folder that hold the credentials. */
function holding(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => {
    const path = join(folder, name);
    return statSync(path).isFile() && readFileSync(path).includes(AUTH);
  });
}

test('registry credentials are in no file of the node, and a running task goes on without', async (t) => {
  const bench = await open(giving);
  await bench.manager.untilStatus('t1', 'running');
  await bench.restart();
  await until('the second session', () => bench.manager.hellos.length === 2);
  await bench.manager.untilStatus('t1', 'running');
  await until('the ack', () => bench.manager.all('assignments-ack').length === 2);
  await bench.agent.close();
  t.deepEqual(
    bench.runtime.calls.filter((call) => !call.startsWith('prepare')),
    ['start t1'],
  );
  t.true(readdirSync(bench.folder, { recursive: true }).length > 2);
  t.deepEqual(holding(bench.folder), []);
  await bench.close();
});

test('a task that still has to pull waits for a manager to send its credentials again', async (t) => {
  const bench = await open(giving);
  let end: (error: Error) => void = () => {};
  bench.runtime.onPrepare.set(
    't1',
    () =>
      new Promise((_, reject) => {
        end = reject;
      }),
  );
  await until('it pulls', () => bench.runtime.calls.includes('prepare t1'));
  await bench.manager.untilStatus('t1', 'preparing');
  // A session that names no tasks yet.
  bench.manager.onHello = () => bench.manager.welcome();
  const restarted = bench.restart();
  end(new Error('the daemon ends'));
  bench.runtime.onPrepare.clear();
  await restarted;
  await until('it says what it waits for', () =>
    /registry credentials/.test(bench.manager.statuses.get('t1')?.Message ?? ''),
  );
  t.is(bench.runtime.calls.filter((call) => call === 'prepare t1').length, 1);
  bench.manager.change('complete', [putTask(task)]);
  await bench.manager.untilStatus('t1', 'running');
  t.is(bench.runtime.auths.get('t1'), AUTH);
  await bench.close();
});
