import type { Prng } from '@swarm/sim';
import type { OperationCounts } from './counts.js';
import type { MemberGroup } from './group.js';
import type { MemberHost } from './host.js';
import type { Patience } from './patience.js';
import type { TortureProblems } from './problems.js';

/** What a fault works on. */
export interface Scene {
  readonly group: MemberGroup;
  /** For the choice of faults. */
  readonly prng: Prng;
  readonly patience: Patience;
  /** Scales every pause that a fault makes. */
  readonly pacePercent: number;
  readonly counts: OperationCounts;
  readonly problems: TortureProblems;
}

/** Breaks something, and has restored everything when it resolves. */
export interface Fault {
  readonly kind: string;
  /** How often it is chosen, relative to others. */
  readonly weight: number;
  run(scene: Scene): Promise<void>;
}

/** Pauses for a random time between these, ms. */
export async function hold(
  { prng, patience, pacePercent }: Scene,
  low: number,
  high: number,
): Promise<void> {
  await patience.pause((prng.between(low, high) * pacePercent) / 100);
}

export function anyHost({ group, prng }: Scene): MemberHost {
  return prng.pick(group.hosts);
}

/** The leader, or a random member without a leader. */
export async function leaderOrAny(scene: Scene): Promise<MemberHost> {
  const anyone = anyHost(scene);
  return (await scene.group.leaderNow()) ?? anyone;
}
