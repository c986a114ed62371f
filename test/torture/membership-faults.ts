import { anyHost, type Fault, hold, leaderOrAny, type Scene } from './scene.js';
import type { MemberHost } from './host.js';

/** Gives a host up and makes it join again, under a new member id. */
export async function replace({ group, counts }: Scene, host: MemberHost): Promise<void> {
  await group.replace(host);
  counts.membersReplaced++;
}

export const MEMBERSHIP_FAULTS: readonly Fault[] = [
  {
    kind: 'remove a running member',
    weight: 1,
    async run(scene) {
      const host = scene.prng.below(2) === 0 ? await leaderOrAny(scene) : anyHost(scene);
      await scene.group.remove(host);
      // It gets reads and writes all the while, and must give no stale answer.
      await hold(scene, 0, 3_000);
      await replace(scene, host);
    },
  },
  {
    kind: 'kill the leader while a member joins',
    weight: 2,
    async run(scene) {
      const { group, prng } = scene;
      const leader = await group.leader();
      const joins = prng.pick(group.hosts.filter((host) => host !== leader));
      const joined = replace(scene, joins);
      // Reports the first outcome, whichever it is.
      await Promise.all([joined, killSoon(scene, leader)]);
    },
  },
];

async function killSoon(scene: Scene, host: MemberHost): Promise<void> {
  await hold(scene, 0, 3_000);
  await scene.group.kill(host);
  await hold(scene, 0, 500);
  await scene.group.restart(host);
}
