import { setTimeout as delay } from 'node:timers/promises';
import type { Host } from '../lab/index.js';
import type { ChaosScene } from './scene.js';

export interface Action {
  readonly kind: string;
  readonly weight: number;
  run(scene: ChaosScene): Promise<void>;
}

export const SERVICES = ['web', 'hold'] as const;
/** A service never has so few tasks that one fault takes all of them. */
const REPLICAS = [4, 7] as const;
/** A daemon that is away for longer counts as a node that is down, which ends connections to its tasks. */
const DAEMON_AWAY_LIMIT_MS = 2_500;

function update(scene: ChaosScene, service: string, ...flags: string[]): Promise<string> {
  return scene.cluster.manager.must(['swarm', 'service', 'update', '-d', ...flags, service]);
}

async function restartDaemon(scene: ChaosScene, host: Host): Promise<void> {
  const led = (await scene.cluster.leader()) === host;
  const from = Date.now();
  scene.say(`kill the daemon of ${host.name}`);
  await host.killDaemon();
  await host.startDaemons();
  await scene.untilReady();
  const awayMs = Date.now() - from;
  scene.say(`its daemon is back after ${awayMs} ms`);
  if (awayMs > DAEMON_AWAY_LIMIT_MS) {
    const to = Date.now();
    scene.outages.push({ node: host.name, led, from, back: to, to });
  }
}

export const ACTIONS: readonly Action[] = [
  {
    kind: 'kill tasks',
    weight: 4,
    async run(scene) {
      const tasks = await scene.cluster.running(scene.prng.pick(SERVICES));
      const count = scene.prng.between(1, 2);
      for (const task of scene.prng.shuffle(tasks).slice(0, count)) await scene.killTask(task);
    },
  },
  {
    kind: 'kill a node',
    weight: 2,
    async run(scene) {
      const host = scene.prng.pick(scene.lab.nodes);
      const offMs = scene.prng.between(1_000, 12_000);
      await scene.outage(host, 'power off', async () => {
        await scene.lab.kill(host.name);
        await delay(offMs);
        await scene.lab.start(host.name);
      });
    },
  },
  {
    kind: 'cut a node',
    weight: 3,
    async run(scene) {
      const host = scene.prng.pick(scene.lab.nodes);
      const cutMs = scene.prng.pick([1_000, 5_000, 10_000, 30_000]);
      await scene.outage(host, `cut for ${cutMs} ms`, async () => {
        await scene.lab.cut(host.name);
        await delay(cutMs);
        await scene.lab.heal(host.name);
      });
    },
  },
  {
    kind: 'restart a daemon',
    weight: 2,
    run: (scene) => restartDaemon(scene, scene.prng.pick(scene.lab.nodes)),
  },
  {
    kind: 'restart the leader',
    weight: 1,
    run: async (scene) => restartDaemon(scene, await scene.cluster.leader()),
  },
  {
    kind: 'roll a service',
    weight: 3,
    async run(scene) {
      const service = scene.prng.pick(SERVICES);
      const order = scene.prng.pick(['start-first', 'stop-first']);
      scene.say(`roll ${service}, ${order}`);
      const parallelism = String(scene.prng.between(1, 2));
      const flags = ['--update-order', order, '--update-parallelism', parallelism];
      await update(scene, service, '--force', ...flags);
    },
  },
  {
    kind: 'scale a service',
    weight: 3,
    async run(scene) {
      const service = scene.prng.pick(SERVICES);
      const replicas = scene.prng.between(...REPLICAS);
      scene.say(`scale ${service} to ${replicas}`);
      await update(scene, service, '--replicas', String(replicas));
    },
  },
];
