/** `scripts/demo`: the main job on this machine, step by step, each step checked. */
import { parseArgs } from 'node:util';
import { Cluster, Lab, until } from '../lab/index.js';
import { Story } from './story.js';
import { untilDown } from './until-down.js';
import { rootlessDemo, rootlessDown } from './rootless.js';

const PORT = 8080;
const { values } = parseArgs({
  options: {
    keep: { type: 'boolean', default: false },
    down: { type: 'boolean', default: false },
    name: { type: 'string', default: 'demo' },
    runtime: { type: 'string', default: 'process' },
  },
});
if (values.runtime !== 'process' && values.runtime !== 'docker')
  throw new Error('--runtime must be process or docker');

/** Exit code that shells report for a program ended by SIGINT. */
const INTERRUPTED_CODE = 130;

const interrupt = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    console.error(`${signal}: taking everything down, this takes a moment`);
    interrupt.abort();
  });
}
const story = new Story(process.stdout.isTTY === true, interrupt.signal);
const isRoot = process.getuid?.() === 0;
if (values.down) {
  if (isRoot) throw new Error(`as root: scripts/lab down --name ${values.name}`);
  await rootlessDown(values.name);
} else {
  const code = isRoot
    ? await demo(values.name, values.runtime, values.keep)
    : await rootlessDemo(story, values.name, values.keep);
  // An interrupted step may still be waiting for something that will never come.
  process.exit(interrupt.signal.aborted ? INTERRUPTED_CODE : code);
}

async function demo(name: string, runtime: 'process' | 'docker', keep: boolean): Promise<number> {
  let lab: Lab | undefined;
  try {
    story.title('swarm: one cluster of five hosts, on this machine');
    lab = await story.wholeStep(
      'Five hosts as network namespaces on a bridge without uplink; 3 managers and 2 workers join by token',
      () => Lab.up({ name, managers: 3, workers: 2, clients: 1, runtime }),
    );
    const cluster = new Cluster(lab);
    const client = lab.host('c1');
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

    await story.step('Scale to 10', async () => {
      await cluster.manager.must(['swarm', 'service', 'scale', '-d', 'web=10']);
      await cluster.untilRunning('web', 10);
    });

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

    await story.step('Kill the leader (SIGKILL of everything on its host)', async () => {
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
      // Until then, the dead host's tasks still count as running.
      await untilDown(cluster, leader);
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
      await story.wholeStep('Take everything down; nothing is left on this machine', () =>
        up.down(),
      );
      lab = undefined;
    }
    story.title('All of it worked.');
    return 0;
  } catch (error) {
    story.fail(error);
    if (lab !== undefined && (!keep || story.isInterrupted)) await lab.down();
    else if (lab !== undefined) story.say(`The cluster stays up: scripts/lab down --name ${name}`);
    return 1;
  }
}

function expect(condition: boolean, otherwise: string): void {
  if (!condition) throw new Error(otherwise);
}
