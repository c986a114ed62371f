/** `scripts/demo`: the main job on this machine, step by step, each step checked. */
import { parseArgs } from 'node:util';
import { Cluster, Lab, until } from '../lab/index.js';
import { Story } from './story.js';
import { rootlessDemo } from './rootless.js';

const PORT = 8080;
const { values } = parseArgs({
  options: {
    keep: { type: 'boolean', default: false },
    name: { type: 'string', default: 'demo' },
    runtime: { type: 'string', default: 'process' },
  },
});
if (values.runtime !== 'process' && values.runtime !== 'docker')
  throw new Error('--runtime is process or docker');

const story = new Story(process.stdout.isTTY === true);
if (process.getuid?.() !== 0) {
  process.exitCode = await rootlessDemo(story, values.name, values.keep);
} else {
  process.exitCode = await demo(values.name, values.runtime, values.keep);
}

async function demo(name: string, runtime: 'process' | 'docker', keep: boolean): Promise<number> {
  let lab: Lab | undefined;
  let interrupted = false;
  const stop = () => {
    interrupted = true;
  };
  process.once('SIGINT', stop);
  process.once('SIGTERM', stop);
  const check = () => {
    if (interrupted) throw new Error('interrupted');
  };
  try {
    story.title('swarm: one cluster of five hosts, on this machine');
    lab = await story.step(
      'Five hosts as network namespaces on a bridge without uplink; 3 managers and 2 workers join by token',
      () => Lab.up({ name, managers: 3, workers: 2, clients: 1, runtime }),
    );
    const cluster = new Cluster(lab);
    const client = lab.host('c1');
    check();
    story.show(await cluster.manager.must(['swarm', 'node', 'ls']));

    await story.step(
      `A web service of 6 replicas, published on port ${PORT} of every host`,
      async () => {
        await cluster.createWeb('web', {
          replicas: 6,
          publish: `${PORT}:80`,
          extra: ['--restart-delay', '1s'],
        });
        await cluster.untilRunning('web', 6);
      },
    );
    story.show(await cluster.manager.must(['swarm', 'service', 'ps', 'web']));
    check();

    await story.step(
      'A client outside the cluster asks each of the 5 hosts: all 6 tasks answer, and see its own address',
      async () => {
        const seen = await until('every host spreads over every task', async () => {
          const result = await cluster.request(client, { port: PORT, requests: 200 });
          return Object.keys(result.tasks).length === 6 && result.failures === 0
            ? result
            : undefined;
        });
        expect(Object.keys(seen.hosts).length === 5, 'not every host answered');
        expect(
          Object.keys(seen.clients).join() === client.address,
          `tasks saw ${Object.keys(seen.clients).join()}`,
        );
        return `200 requests, 0 failed; clients seen: ${Object.keys(seen.clients).join(', ')}`;
      },
    );
    check();

    await story.step('Scale to 10', async () => {
      await cluster.manager.must(['swarm', 'service', 'scale', '-d', 'web=10']);
      await cluster.untilRunning('web', 10);
    });
    check();

    await story.step('A rolling update to version 2, under load of new connections', async () => {
      const load = cluster.load(client, { port: PORT, concurrency: 4, pauseMs: 5 });
      try {
        await cluster.manager.must([
          ...['swarm', 'service', 'update', '-d', '--env-add', 'VERSION=2'],
          ...['--update-parallelism', '2', '--update-monitor', '300ms', 'web'],
        ]);
        await until(
          'the update is complete',
          async () => (await cluster.service('web')).UpdateStatus?.State === 'completed',
          { deadlineMs: 120_000 },
        );
      } catch (error) {
        await load.stop();
        throw error;
      }
      const seen = await load.stop();
      expect(
        seen.failures === 0,
        `${seen.failures} requests failed: ${JSON.stringify(seen.errors)}`,
      );
      const after = await cluster.request(client, { port: PORT, requests: 50 });
      expect(Object.keys(after.versions).join() === '2', 'an old task still answers');
      return `${seen.requests} requests, ${seen.failures} failed`;
    });
    check();

    await story.step('The leader is killed (SIGKILL of everything on its host)', async () => {
      const leader = await cluster.leader();
      const others = lab!.nodes.filter((host) => host !== leader).map((host) => host.address);
      const load = cluster.load(client, {
        port: PORT,
        targets: others,
        concurrency: 4,
        pauseMs: 10,
        timeoutMs: 5000,
      });
      await lab!.kill(leader.name);
      const killedAt = performance.now();
      const survivor = cluster.manager;
      await until(
        'another manager leads',
        async () => (await survivor.exec(['swarm', 'service', 'scale', '-d', 'web=12'])).code === 0,
        { everyMs: 50 },
      );
      const tookMs = performance.now() - killedAt;
      await cluster.untilRunning('web', 12);
      const seen = await load.stop();
      expect(
        seen.failures === 0,
        `${seen.failures} requests failed: ${JSON.stringify(seen.errors)}`,
      );
      return `${leader.name} is dead; scaled to 12 after ${(tookMs / 1000).toFixed(1)} s; ${seen.requests} requests to the other hosts, ${seen.failures} failed`;
    });
    story.show(await cluster.manager.must(['swarm', 'node', 'ls']));

    if (keep) {
      story.say(
        `The cluster stays up. Talk to it:\n  scripts/lab exec ${cluster.manager.name} --name ${name} -- swarm service ls`,
      );
      story.say(
        `  scripts/lab exec c1 --name ${name} -- curl http://${cluster.manager.address}:${PORT}/\n  scripts/lab down --name ${name}`,
      );
    } else {
      const up = lab;
      await story.step('Everything is taken down; nothing is left on this machine', () =>
        up.down(),
      );
    }
    story.title('All of it worked.');
    return 0;
  } catch (error) {
    story.fail(error);
    if (lab !== undefined && !keep) await lab.down();
    return 1;
  }
}

function expect(condition: boolean, otherwise: string): void {
  if (!condition) throw new Error(otherwise);
}
