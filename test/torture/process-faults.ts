import { anyHost, type Fault, hold, leaderOrAny, type Scene } from './scene.js';
import type { MemberHost } from './host.js';

/** Below the shortest election, and far above. */
const STOP_MS = [200, 5_000] as const;
const DEAD_MS = [0, 1_500] as const;

async function crash(scene: Scene, host: MemberHost): Promise<void> {
  await scene.group.kill(host);
  await hold(scene, ...DEAD_MS);
  await scene.group.restart(host);
}

async function stop(scene: Scene, host: MemberHost): Promise<void> {
  host.pause();
  await hold(scene, ...STOP_MS);
  host.resume();
}

export const PROCESS_FAULTS: readonly Fault[] = [
  {
    kind: 'kill the leader',
    weight: 4,
    run: async (scene) => crash(scene, await leaderOrAny(scene)),
  },
  { kind: 'kill a member', weight: 3, run: (scene) => crash(scene, anyHost(scene)) },
  {
    kind: 'kill a member twice',
    weight: 2,
    async run(scene) {
      const host = anyHost(scene);
      await scene.group.kill(host);
      // The second time while it loads, opens its log, or has just come back.
      const starting = scene.group.start(host).catch(() => undefined);
      await hold(scene, 0, 800);
      await scene.group.kill(host);
      await starting;
      await scene.group.restart(host);
    },
  },
  {
    kind: 'kill all',
    weight: 2,
    async run(scene) {
      const { group, prng } = scene;
      await Promise.all(group.hosts.map((host) => group.kill(host)));
      for (const host of prng.shuffle(group.hosts)) {
        await hold(scene, 0, 300);
        await group.restart(host);
      }
    },
  },
  {
    kind: 'stop the leader',
    weight: 3,
    run: async (scene) => stop(scene, await leaderOrAny(scene)),
  },
  { kind: 'stop a member', weight: 2, run: (scene) => stop(scene, anyHost(scene)) },
  {
    kind: 'stop one, kill another',
    weight: 2,
    async run(scene) {
      const [stopped, killed] = scene.prng.shuffle(scene.group.hosts);
      stopped!.pause();
      await crash(scene, killed!);
      stopped!.resume();
    },
  },
  {
    kind: 'restart one after another',
    weight: 1,
    async run(scene) {
      for (const host of scene.group.hosts) {
        await scene.group.terminate(host);
        await scene.group.restart(host);
        await hold(scene, 0, 500);
      }
    },
  },
  {
    kind: 'transfer leadership',
    weight: 2,
    async run(scene) {
      const leader = await scene.group.leader();
      const others = scene.group.hosts.filter((host) => host !== leader);
      await scene.group.transfer(leader, scene.prng.pick(others));
    },
  },
];
