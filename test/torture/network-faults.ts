import { anyHost, type Fault, hold, leaderOrAny, type Scene } from './scene.js';
import type { MemberHost } from './host.js';

/** Longer than an election; both shorter and longer than a silent connection lives. */
const PARTED_MS = [500, 7_000] as const;
const DELAY_LIMIT_MS = 150;

/** @param apart separates two hosts */
async function isolate(
  scene: Scene,
  host: MemberHost,
  apart: (a: number, b: number) => void,
): Promise<void> {
  for (const other of scene.group.hosts) if (other !== host) apart(host.place, other.place);
  await hold(scene, ...PARTED_MS);
  mend(scene);
}

/** Mends links: messages held back arrive late, or are lost. */
function mend({ group, prng }: Scene): void {
  group.network.heal(prng.below(2) === 0);
}

export const NETWORK_FAULTS: readonly Fault[] = [
  {
    kind: 'hold back everything from and to the leader',
    weight: 3,
    async run(scene) {
      const { network } = scene.group;
      await isolate(scene, await leaderOrAny(scene), (a, b) => network.hold(a, b));
    },
  },
  {
    kind: 'cut a member off',
    weight: 3,
    async run(scene) {
      const { network } = scene.group;
      await isolate(scene, anyHost(scene), (a, b) => network.cut(a, b));
    },
  },
  {
    kind: 'cut one link',
    weight: 2,
    async run(scene) {
      const [a, b] = scene.prng.shuffle(scene.group.hosts);
      scene.group.network.cut(a!.place, b!.place);
      await hold(scene, ...PARTED_MS);
      mend(scene);
    },
  },
  {
    kind: 'a member hears nobody',
    weight: 2,
    async run(scene) {
      const { network } = scene.group;
      await isolate(scene, anyHost(scene), (to, from) => network.holdOneWay(from, to));
    },
  },
  {
    kind: 'nobody hears the leader',
    weight: 2,
    async run(scene) {
      const { network } = scene.group;
      await isolate(scene, await leaderOrAny(scene), (from, to) => network.holdOneWay(from, to));
    },
  },
  {
    kind: 'slow links',
    weight: 1,
    async run(scene) {
      const { group, prng } = scene;
      group.network.delayAll(() => prng.below(DELAY_LIMIT_MS));
      await hold(scene, ...PARTED_MS);
      group.network.heal(false);
    },
  },
  {
    kind: 'kill behind a partition',
    weight: 2,
    async run(scene) {
      const { group, prng } = scene;
      const [lonely, killed] = prng.shuffle(group.hosts);
      for (const other of group.hosts) {
        if (other !== lonely) group.network.hold(lonely!.place, other.place);
      }
      await hold(scene, 500, 2_000);
      await group.kill(killed!);
      await hold(scene, 0, 500);
      mend(scene);
      await hold(scene, 0, 500);
      await group.restart(killed!);
    },
  },
];
