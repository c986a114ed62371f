import type { Node } from '@swarm/api';
import { Cluster, type LoadResult, run, until } from '../lab/index.js';
import { LOAD_PROGRAM } from '../lab/cluster.js';
import { type LoopbackHost, LoopbackLab } from '../lab/loopback-lab.js';
import { untilDown } from './until-down.js';
import type { Story } from './story.js';

const PORT = 18080;
const MANAGERS = 3;
const WORKERS = 2;

/** All nodes have this machine's name; their addresses tell them apart. */
class LoopbackCluster extends Cluster<LoopbackLab> {
  override hostOf(node: Node): LoopbackHost {
    return this.lab.hostAt(node.Status.Addr);
  }
}

/** The demo without root: processes on loopback addresses, the userspace proxy as mesh. */
export async function rootlessDemo(story: Story, name: string, keep: boolean): Promise<number> {
  let lab: LoopbackLab | undefined;
  try {
    story.title('swarm: one cluster of five nodes, on this machine, without root');
    lab = await story.wholeStep(
      'Five daemons on loopback addresses; 3 managers and 2 workers join by token',
      () => LoopbackLab.up(name, MANAGERS, WORKERS),
    );
    const cluster = new LoopbackCluster(lab);
    story.show(await cluster.manager.must(['swarm', 'node', 'ls']));
    await story.step(
      `A web service of 6 replicas, published on port ${PORT} of every node`,
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
    await story.step('Every node answers, from every task', async () => {
      const seen = await until('every node spreads over every task', async () => {
        const result = await request(cluster.addresses, 200);
        return Object.keys(result.tasks).length === 6 && result.failures === 0 ? result : undefined;
      });
      return `${seen.requests} requests, ${seen.failures} failed`;
    });
    await story.step('Scale to 10', async () => {
      await cluster.manager.must(['swarm', 'service', 'scale', '-d', 'web=10']);
      await cluster.untilRunning('web', 10);
    });
    await story.step('A rolling update to version 2, under load of new connections', async () => {
      const load = cluster.load(cluster.manager, { port: PORT, concurrency: 4, pauseMs: 5 });
      let seen: LoadResult;
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
      } finally {
        seen = await load.stop();
      }
      if (seen.failures > 0)
        throw new Error(`${seen.failures} requests failed: ${JSON.stringify(seen.errors)}`);
      return `${seen.requests} requests, ${seen.failures} failed`;
    });
    await story.step('Kill the leader (SIGKILL of its daemon and tasks)', async () => {
      const leader = await cluster.leader();
      await leader.kill();
      const killedAt = performance.now();
      await until(
        'another manager leads',
        async () =>
          (await cluster.manager.exec(['swarm', 'service', 'scale', '-d', 'web=12'])).code === 0,
        { everyMs: 50 },
      );
      const tookMs = performance.now() - killedAt;
      // Until then, the dead node's tasks still count as running.
      await untilDown(cluster, leader);
      await cluster.untilRunning('web', 12);
      const result = await request(cluster.addresses, 100);
      if (result.failures > 0)
        throw new Error(`${result.failures} requests failed: ${JSON.stringify(result.errors)}`);
      return `${leader.name} is dead; scaled to 12 after ${(tookMs / 1000).toFixed(1)} s; the other nodes answer`;
    });
    if (keep) {
      const { socket } = cluster.manager.state;
      story.say(
        `The cluster stays up. Talk to it:\n  SWARM_HOST=unix://${socket} ./swarm service ls\n  curl http://${cluster.manager.address}:${PORT}/`,
      );
      story.say('  scripts/demo --down');
    } else {
      const up = lab;
      await story.wholeStep('Take everything down', () => up.down());
      lab = undefined;
    }
    story.title('It worked. Not shown without root:');
    story.say("  - the client's own address at the tasks (they see the userspace proxy's)");
    story.say('  - network namespaces and cgroups: tasks share the network of this machine');
    story.say('  - hosts that are cut off from each other');
    story.say('  - nodes on several machines: these five use loopback addresses of this one');
    story.say('Run it as root to see these.\n');
    return 0;
  } catch (error) {
    story.fail(error);
    if (lab !== undefined && (!keep || story.isInterrupted)) await lab.down();
    else if (lab !== undefined) story.say('The cluster stays up: scripts/demo --down');
    return 1;
  }
}

/** Takes down what `--keep` left running. */
export async function rootlessDown(name: string): Promise<void> {
  await LoopbackLab.at(name, MANAGERS, WORKERS).down();
}

async function request(targets: readonly string[], requests: number): Promise<LoadResult> {
  const result = await run([
    process.execPath,
    LOAD_PROGRAM,
    ...['--targets', targets.join(','), '--port', String(PORT), '--requests', String(requests)],
  ]);
  if (result.code !== 0) throw new Error(result.stderr);
  return JSON.parse(result.stdout) as LoadResult;
}
