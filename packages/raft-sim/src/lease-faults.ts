import { majority, Role } from '@swarm/raft/internals';
import type { Prng } from '@swarm/sim';
import type { SimMember } from './member.js';
import type { RaftWorld } from './world.js';

/** How often we look whether a state was reached. */
const LOOK_US = 10_000;

/**
 * Makes the leader's links, except those to `kept`, lose everything. @returns a function that
 * restores them
 */
function cutOff(world: RaftWorld, leader: SimMember, kept: readonly SimMember[] = []): () => void {
  const links = world.members
    .filter((member) => member !== leader && !kept.includes(member))
    .flatMap(({ id }): [number, number][] => [
      [id, leader.id],
      [leader.id, id],
    ]);
  for (const [from, to] of links) world.network.cut(from, to);
  return () => {
    if (world.faultsHappen) for (const [from, to] of links) world.network.mend(from, to);
  };
}

/**
 * Stops the leader in the middle of a round of heartbeats. The answers reach it, nothing after them
 * does; meanwhile the others elect another. Then it continues, as if no time had passed.
 */
export function loseLeader(world: RaftWorld, leader: SimMember, forMs: number, prng: Prng): void {
  const { clock, plan } = world;
  const { process } = leader;
  const cutAfterUs = prng.below(1 + 3 * plan.network.delayUs);
  if (prng.below(3) === 0) {
    orderAndCutOff(world, leader, prng);
    return;
  }
  process?.pause();
  clock.after(cutAfterUs, () => {
    if (!world.faultsHappen) return;
    const mend = cutOff(world, leader);
    clock.after((forMs + electionMs(world)) * 1000, mend);
  });
  let isReplaced = false;
  const look = () => {
    isReplaced ||= world.leader() !== leader;
    const isPaused = leader.process === process && process?.paused === true;
    if (isPaused && !isReplaced) clock.after(LOOK_US, look);
  };
  look();
  clock.after(forMs * 1000, () => {
    process?.resume();
    // It believes that it leads, as if another had not been elected meanwhile.
    const isOld = leader.process === process && leader.subject?.raft.role === Role.Leader;
    if (isOld && isReplaced) world.coverage.mark('leader paused and cut off');
  });
}

/** Cuts a leader off as soon as its order to campaign is on its way: the others elect that one at once. */
function orderAndCutOff(world: RaftWorld, leader: SimMember, prng: Prng): void {
  const { clock, plan } = world;
  if (leader.node !== undefined) world.ignore(leader.node.transferLeadership());
  clock.after(prng.between(1, 1_000 + 4 * plan.network.delayUs), () => {
    if (!world.faultsHappen) return;
    clock.after(electionMs(world) * 1000, cutOff(world, leader));
  });
}

/**
 * Lets the leader reach just enough voters. When the others have long wanted an election, the
 * leader loses those voters too, and they restart: none of them may have forgotten it. Nobody
 * writes until then; otherwise the others' logs would be too short for them to be elected.
 */
export function restartVoters(
  world: RaftWorld,
  leader: SimMember,
  forMs: number,
  prng: Prng,
): void {
  const { clock } = world;
  const voters = leader.subject?.raft.tracker.conf.voters ?? [];
  const others = prng
    .shuffle(voters.filter((id) => id !== leader.id))
    .map((id) => world.member(id));
  const kept = others.slice(0, majority(voters.length) - 1);
  const mend = cutOff(world, leader, kept);
  const quietUs = (electionMs(world) + prng.below(forMs)) * 1000;
  world.readsOnlyUntilUs = clock.nowUs + quietUs;
  clock.after(quietUs, () => {
    if (!world.faultsHappen) return;
    const mendAll = cutOff(world, leader);
    const leads = leader.subject?.raft.role === Role.Leader && world.leader() === leader;
    for (const member of kept) {
      if (!member.running) continue;
      if (leads) world.coverage.mark('voters of a leader restart');
      member.crash();
      world.restartLater(member, prng.below(20_000));
    }
    clock.after(2 * electionMs(world) * 1000, () => {
      mend();
      mendAll();
    });
  });
}

/** Does it to the leader; without one, to the next that comes in time. */
export function onLeader(world: RaftWorld, act: (leader: SimMember) => void): void {
  const { clock } = world;
  const endMs = clock.nowMs + 2 * electionMs(world);
  const look = () => {
    const leader = world.leader();
    if (!world.faultsHappen || clock.nowMs > endMs) return;
    if (leader === undefined) clock.after(LOOK_US, look);
    else act(leader);
  };
  look();
}

/** The longest time until an election begins. */
function electionMs({ plan }: RaftWorld): number {
  return 2 * plan.electionTicks * plan.tickMs;
}
