import test from 'ava';
import { until } from '@swarm/sim';
import { ALL_LOGS, collect, text } from '../support/real.js';
import {
  containers,
  engineLacks,
  openDockerRuntime,
  progress,
  shell,
  TestEngine,
} from './engine.js';
import { prepare } from '../support/prepare.js';

const lacks = engineLacks();
const LIVE = ['--live-restore'];

if (lacks === undefined) {
  test.serial(
    'tasks outlive an engine that keeps them, and nobody calls them failed',
    async (t) => {
      const engine = new TestEngine(LIVE);
      try {
        await engine.start();
        await engine.importImage();
        const harness = openDockerRuntime(engine);
        try {
          const { runtime } = harness;
          const task = shell('trap "echo bye; exit 3" TERM; echo up; while :; do sleep 0.05; done');
          await prepare(runtime, task);
          await runtime.start(task.ID, progress);
          const pid = runtime.pid(task.ID);
          const lines: string[] = [];
          let logEnded = false;
          void (async () => {
            const log = runtime.logs(task.ID, { ...ALL_LOGS, follow: true });
            for await (const line of log) lines.push(text(line));
            logEnded = true;
          })();
          await until('the first line', () => lines.length === 1);
          let ended = false;
          const end = runtime.wait(task.ID).finally(() => {
            ended = true;
          });
          await engine.stop('SIGKILL');
          // Asked while there is no engine: answered when there is one again.
          const preparing = prepare(runtime, shell('exit 0'));
          await engine.start();
          await t.notThrowsAsync(preparing);
          t.false(ended);
          t.is(runtime.pid(task.ID), pid);
          t.deepEqual(
            (await runtime.list()).map(({ state }) => state),
            ['running', 'prepared'],
          );
          await runtime.stop(task.ID, { graceMs: 10_000 });
          t.like(await end, { kind: 'exit', code: 3 });
          await until('the follower ends', () => logEnded);
          t.deepEqual(lines, ['up\n', 'bye\n']);
        } finally {
          await harness.close();
        }
      } finally {
        await engine.close();
      }
    },
  );

  test.serial(
    'tasks that end with their engine are reported as ended when it is back',
    async (t) => {
      const engine = new TestEngine();
      try {
        await engine.start();
        await engine.importImage();
        const harness = openDockerRuntime(engine);
        try {
          const { runtime } = harness;
          const running = shell('exec sleep 600', { address: '198.18.0.95/32' });
          const waiting = shell('exec sleep 600', { address: '198.18.0.96/32' });
          await prepare(runtime, running);
          await runtime.start(running.ID, progress);
          await prepare(runtime, waiting);
          const end = runtime.wait(running.ID);
          await engine.stop();
          await engine.start();
          t.is((await end).kind, 'exit');
          t.is(runtime.pid(running.ID), undefined);
          // The daemon restarts, too: a task that never ran has lost its network and is prepared again.
          const next = await harness.reopen();
          const left = await next.list();
          t.deepEqual(
            left.map(({ taskId, state }) => [taskId, state]),
            [[running.ID, 'ended']],
          );
          t.false(
            (await containers(engine, 'swarm.role')).some((name) => name.includes(waiting.ID)),
          );
          await t.notThrowsAsync(prepare(next, waiting));
          t.deepEqual(await collect(next.logs(running.ID, ALL_LOGS)), []);
        } finally {
          await harness.close();
        }
      } finally {
        await engine.close();
      }
    },
  );

  test.serial('a container that somebody removed is reported as ended', async (t) => {
    const engine = new TestEngine();
    try {
      await engine.start();
      await engine.importImage();
      const harness = openDockerRuntime(engine);
      try {
        const task = shell('exec sleep 600');
        await prepare(harness.runtime, task);
        await harness.runtime.start(task.ID, progress);
        const end = harness.runtime.wait(task.ID);
        await engine.api('DELETE', `/containers/${task.Name}?force=1`);
        t.is((await end).kind, 'exit');
        await t.notThrowsAsync(harness.runtime.stop(task.ID, { graceMs: 0 }));
        await t.notThrowsAsync(harness.runtime.remove(task.ID));
      } finally {
        await harness.close();
      }
    } finally {
      await engine.close();
    }
  });

  test.serial("another daemon's containers on the same engine are left alone", async (t) => {
    const engine = new TestEngine();
    try {
      await engine.start();
      await engine.importImage();
      const [one, other] = [openDockerRuntime(engine), openDockerRuntime(engine)];
      try {
        const task = shell('exec sleep 600');
        await prepare(one.runtime, task);
        await one.runtime.start(task.ID, progress);
        t.deepEqual(await other.runtime.list(), []);
        await other.runtime.remove(task.ID);
        await t.throwsAsync(prepare(other.runtime, task), { message: /in use/ });
        t.not(one.runtime.pid(task.ID), undefined);
        t.deepEqual(
          (await one.runtime.list()).map(({ state }) => state),
          ['running'],
        );
      } finally {
        await other.close();
        await one.close();
      }
    } finally {
      await engine.close();
    }
  });
} else {
  test.skip(`docker runtime and the loss of its engine: SKIPPED, ${lacks}`, () => {});
}
