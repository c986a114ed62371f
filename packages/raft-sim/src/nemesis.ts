import { allMembers, allVoters, ConfChangeOp, type MemberChange } from '@swarm/raft/internals';
import { Prng } from '@swarm/sim';
import { loseLeader, onLeader, restartVoters } from './lease-faults.js';
import { infoOf, MemberState, type SimMember } from './member.js';
import { type FaultAction, MAX_IDS, PLAYS } from './plan.js';
import { Plays } from './plays.js';
import { recoverableWithout } from './recoverable.js';
import type { RaftWorld } from './world.js';

/** Carries out the plan's faults. Draws only from the action's own number. */
export class Nemesis {
  readonly #world: RaftWorld;
  readonly #plays: Plays;

  constructor(world: RaftWorld) {
    this.#world = world;
    this.#plays = new Plays(world);
  }

  schedule(): void {
    const { clock, plan } = this.#world;
    for (const action of plan.actions) {
      clock.after(action.atMs * 1000, () => {
        if (this.#world.faultsHappen) this.#act(action);
      });
    }
  }

  #act(action: FaultAction): void {
    const world = this.#world;
    const prng = new Prng(action.pick, 'action');
    const targets = world.members.filter(({ running }) => running);
    if (targets.length === 0) return;
    // Leaders are where it hurts.
    const leader = world.leader();
    const target = leader !== undefined && prng.below(3) === 0 ? leader : prng.pick(targets);
    world.note('fault', target.id, action.fault, action.durationMs);
    const play = PLAYS.find((name) => name === action.fault);
    if (play === undefined) this.#inflict(action, target, prng);
    else this.#plays.begin(play, action, prng);
  }

  #inflict(action: FaultAction, target: SimMember, prng: Prng): void {
    const world = this.#world;
    const { coverage, clock } = world;
    const durationUs = action.durationMs * 1000;
    switch (action.fault) {
      case 'crash':
        coverage.mark('crash');
        target.crash();
        world.restartLater(target, durationUs);
        break;
      case 'crash-step':
        target.stepsToCrash = prng.between(1, 8);
        break;
      case 'crash-start':
        target.crash();
        target.crashWhileStarting = true;
        world.restartLater(target, durationUs);
        break;
      case 'crash-restore':
        target.crashWhileRestoring = true;
        break;
      case 'crash-all':
        coverage.mark('crash of all');
        for (const member of world.members) {
          if (!member.running) continue;
          member.crash();
          world.restartLater(member, prng.below(durationUs));
        }
        break;
      case 'pause': {
        coverage.mark('pause');
        const { process } = target;
        process?.pause();
        clock.after(durationUs, () => process?.resume());
        break;
      }
      case 'clock-jump':
        coverage.mark('clock jump');
        target.process?.jump(action.durationMs);
        break;
      case 'lose-leader':
        onLeader(world, (lost) => loseLeader(world, lost, action.durationMs, prng));
        break;
      case 'restart-voters':
        onLeader(world, (lone) => restartVoters(world, lone, action.durationMs, prng));
        break;
      case 'disk-stall':
        coverage.mark('disk stall');
        target.disk.stall(clock.nowUs + durationUs);
        break;
      case 'disk-full':
        coverage.mark('disk full');
        target.disk.setFull(true);
        clock.after(durationUs, () => target.disk.setFull(false));
        break;
      case 'bit-flip':
      case 'misdirected-write':
      case 'files-lost':
      case 'disk-lost':
        this.#damage(action, target);
        break;
      default:
        this.#disturb(action, target, prng);
    }
  }

  /** Damages a disk, if enough others stay intact. */
  #damage(action: FaultAction, target: SimMember): void {
    const world = this.#world;
    if (!target.intact || target.state === MemberState.Starting) return;
    if (!world.plan.mayLoseQuorum && !recoverableWithout(world, target)) return;
    if (action.fault === 'disk-lost') {
      world.coverage.mark('disk lost');
      target.lose();
      return;
    }
    // A running member has everything in memory: the damage shows when it restarts.
    target.crash();
    const { fault } = action;
    const done =
      fault === 'bit-flip'
        ? target.disk.flipBit()
        : fault === 'misdirected-write'
          ? (target.disk.misdirect?.() ?? false)
          : target.disk.loseFiles();
    if (done) {
      target.damaged = true;
      world.coverage.mark(DAMAGE[fault as keyof typeof DAMAGE]);
    }
    world.restartLater(target, action.durationMs * 1000);
  }

  #disturb(action: FaultAction, target: SimMember, prng: Prng): void {
    const world = this.#world;
    const { coverage, network, clock } = world;
    const durationUs = action.durationMs * 1000;
    const ids = world.members.map(({ id }) => id);
    const cut: [number, number][] = [];
    switch (action.fault) {
      case 'isolate':
        coverage.mark('partition of one');
        for (const id of ids) if (id !== target.id) cut.push([id, target.id], [target.id, id]);
        break;
      case 'bare-quorum': {
        coverage.mark('bare quorum');
        const shuffled = prng.shuffle(ids);
        const spared = shuffled.slice(0, (ids.length - 1) >> 1);
        for (const a of spared) for (const b of ids) if (a !== b) cut.push([a, b], [b, a]);
        break;
      }
      case 'one-way': {
        coverage.mark('partition one-way');
        const outward = prng.below(2) === 0;
        for (const id of ids) {
          if (id === target.id || prng.below(4) === 0) continue;
          cut.push(outward ? [target.id, id] : [id, target.id]);
        }
        break;
      }
      case 'partition':
      case 'bridge': {
        // A bridge reaches both sides, which do not reach each other.
        const bridge = action.fault === 'bridge' ? target.id : 0;
        coverage.mark(bridge > 0 ? 'partition bridge' : 'partition in two');
        const shuffled = prng.shuffle(ids.filter((id) => id !== bridge));
        const left = shuffled.slice(0, shuffled.length >> 1);
        const right = shuffled.slice(shuffled.length >> 1);
        for (const a of left) for (const b of right) cut.push([a, b], [b, a]);
        break;
      }
      case 'clog': {
        coverage.mark('link clogged');
        for (const id of ids) {
          if (id === target.id || prng.below(2) === 0) continue;
          const [from, to] = prng.below(2) === 0 ? [id, target.id] : [target.id, id];
          // The links clear one after another (FoundationDB's swizzle).
          network.clog(from, to, clock.nowUs + prng.below(durationUs));
        }
        break;
      }
      default:
        this.#reorganize(action, target, prng);
        return;
    }
    for (const [from, to] of cut) network.cut(from, to);
    clock.after(durationUs, () => {
      if (world.faultsHappen) for (const [from, to] of cut) network.mend(from, to);
    });
  }

  #reorganize(action: FaultAction, target: SimMember, prng: Prng): void {
    const world = this.#world;
    const leader = world.leader();
    switch (action.fault) {
      case 'rolling-restart':
        world.coverage.mark('rolling restart');
        for (const [i, member] of prng.shuffle(world.members).entries()) {
          world.clock.after(i * action.durationMs * 300, () => {
            if (!world.faultsHappen) return;
            world.ignore(member.stopInOrder());
            world.restartLater(member, action.durationMs * 200);
          });
        }
        return;
      case 'transfer':
        if (leader?.node !== undefined) {
          const to = prng.below(2) === 0 ? undefined : target.id;
          const transfer = leader.node.transferLeadership(to).then(() => {
            if (to !== leader.id) world.coverage.mark('leadership handed over');
          });
          world.ignore(transfer);
        }
        return;
      case 'add-member':
        world.operator.wanted = Math.min(world.operator.wanted + 1, MAX_MEMBERS);
        return;
      case 'remove-member':
        world.operator.wanted = Math.max(world.operator.wanted - 1, 1);
        world.operator.remove(target.id);
        return;
      case 'replace-member':
        if (prng.below(2) === 0) world.operator.replace(target.id);
        else this.#plays.stage.change(leader, this.#replacement(leader, prng));
        return;
      case 'demote':
        this.#plays.stage.change(leader, this.#demotion(leader, prng));
        return;
      default:
    }
  }

  /** One joint change: a new voter replaces an old one. */
  #replacement(leader: SimMember | undefined, prng: Prng): MemberChange[] {
    const world = this.#world;
    const conf = leader?.subject?.raft.tracker.conf;
    if (conf === undefined || world.members.length >= MAX_IDS) return [];
    const out = prng.pick(allVoters(conf));
    const fresh = world.addMember();
    world.coverage.mark('member added');
    world.coverage.mark(out === leader?.id ? 'leader removed' : 'member removed');
    return [
      { op: ConfChangeOp.AddVoter, id: fresh.id, info: infoOf(fresh.id) },
      { op: ConfChangeOp.Remove, id: out },
    ];
  }

  #demotion(leader: SimMember | undefined, prng: Prng): MemberChange[] {
    const conf = leader?.subject?.raft.tracker.conf;
    if (conf === undefined || conf.voters.length < 2) return [];
    this.#world.coverage.mark('voter demoted');
    const changes: MemberChange[] = [{ op: ConfChangeOp.AddLearner, id: prng.pick(conf.voters) }];
    // Together with a promotion it needs a joint configuration.
    const learner = allMembers(conf).find((id) => conf.learners.includes(id));
    if (learner !== undefined) changes.push({ op: ConfChangeOp.AddVoter, id: learner });
    return changes;
  }
}

/** The most members at one time. */
export const MAX_MEMBERS = 7;
/** Bringing a cluster back may need more ids than MAX_IDS. */
export const MAX_IDS_HEALING = 40;

const DAMAGE = {
  'bit-flip': 'bit flip',
  'misdirected-write': 'write misdirected',
  'files-lost': 'files lost',
} as const;
