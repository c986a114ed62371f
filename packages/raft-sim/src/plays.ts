import type { MemberId } from '@swarm/raft';
import { ConfChangeOp, isJoint, type MemberChange, type Raft, Role } from '@swarm/raft/internals';
import type { Prng } from '@swarm/sim';
import { changesAhead } from './internals.js';
import { infoOf, type SimMember } from './member.js';
import { type FaultAction, MAX_IDS, type Play } from './plan.js';
import { Stage } from './stage.js';
import type { RaftWorld } from './world.js';

/**
 * Faults of several steps, each waiting for the previous one. They lead to states in which bugs
 * matter, and which single faults seldom reach. One play at a time; other faults continue, and may
 * spoil it.
 */
export class Plays {
  readonly stage: Stage;
  readonly #world: RaftWorld;

  constructor(world: RaftWorld) {
    this.#world = world;
    this.stage = new Stage(world);
  }

  begin(play: Play, action: FaultAction, prng: Prng): void {
    const leader = this.#world.leader();
    const raft = leader?.subject?.raft;
    if (this.stage.playing || leader === undefined || raft === undefined) return;
    switch (play) {
      case 'long-tail':
        this.#longTail(leader, raft, action, prng);
        break;
      case 'left-behind':
        this.#leftBehind(leader, raft, prng);
        break;
      case 'late-answers':
        this.#lateAnswers(leader, raft, prng);
        break;
      case 'sleeping-leader':
        this.#sleepingLeader(leader, prng);
        break;
      case 'joint-split':
        this.#jointSplit(leader, raft, action, prng);
        break;
      case 'late-change':
        this.#lateChange(leader, raft, prng);
        break;
      case 'hasty-change':
        this.#hastyChange(leader, raft, prng);
        break;
      case 'late-write':
        this.#lateWrite(leader, raft, prng);
        break;
    }
  }

  /**
   * Cuts a leader off right before, or right after, many proposals, so that it alone, or it and one
   * more, has a long tail. It comes back when the others have compacted what it lacks.
   */
  #longTail(leader: SimMember, raft: Raft, action: FaultAction, prng: Prng): void {
    const { stage } = this;
    const world = this.#world;
    const others = stage.others(leader);
    const partner = prng.below(3) === 0 ? others.slice(0, 1) : [];
    stage.begin('long-tail');
    const common = raft.log.lastIndex;
    const count = prng.between(2, 60);
    if (prng.below(3) === 0) stage.propose(leader, count);
    stage.cut([leader.id, ...partner], others.slice(partner.length));
    stage.propose(leader, count);
    const goneOn = () => {
      const now = world.leader();
      return now !== leader && (now?.subject?.raft.log.firstIndex ?? 0) > common + 1;
    };
    const patienceUs = prng.below(4) === 0 ? action.durationMs * 1000 : 5 * stage.timeoutUs;
    stage.follow([{ when: goneOn, patienceUs, act: () => stage.reached('long-tail') }]);
  }

  /**
   * Holds back messages to a follower until what it lacks is compacted, so that it gets a snapshot.
   * While it installs that, some or all of the messages arrive after all, and the log goes past the
   * snapshot.
   */
  #leftBehind(leader: SimMember, raft: Raft, prng: Prng): void {
    const { stage } = this;
    const world = this.#world;
    const { network } = world;
    const [id] = prng.shuffle(raft.tracker.members.filter((other) => other !== leader.id));
    const subject = id === undefined ? undefined : world.member(id).subject;
    if (id === undefined || subject === undefined) return;
    const behind = subject.raft;
    const count = prng.below(2) === 0 ? Number.POSITIVE_INFINITY : prng.between(1, 6);
    stage.begin('left-behind');
    network.hold(leader.id, id);
    world.clock.after(4 * stage.timeoutUs, () => network.release(leader.id, id));
    stage.propose(leader, prng.between(2, 10));
    stage.follow([
      {
        when: () => raft.log.firstIndex > behind.log.lastIndex + 1,
        patienceUs: stage.timeoutUs / 2,
        act: () => {
          stage.enter(leader, (core) => core.reportUnreachable(id));
          stage.propose(leader, 1);
        },
      },
      {
        when: () => behind.restoring,
        patienceUs: stage.timeoutUs,
        act: () => {
          stage.reached('left-behind');
          network.release(leader.id, id, count);
          stage.propose(leader, prng.between(1, 5));
        },
      },
      {
        when: () => !behind.restoring,
        patienceUs: 2 * stage.timeoutUs,
        act: () => network.release(leader.id, id),
      },
    ]);
  }

  /**
   * Hides from the leader that a follower has many entries. Once others have committed them, the
   * leader sends the first of them again, a few at a time.
   */
  #lateAnswers(leader: SimMember, raft: Raft, prng: Prng): void {
    const { stage } = this;
    const world = this.#world;
    const { network } = world;
    const [id] = prng.shuffle(raft.tracker.members.filter((other) => other !== leader.id));
    const subject = id === undefined ? undefined : world.member(id).subject;
    if (id === undefined || subject === undefined) return;
    const { log } = subject.raft;
    stage.begin('late-answers');
    network.hold(id, leader.id);
    world.clock.after(2 * stage.timeoutUs, () => network.release(id, leader.id));
    stage.propose(leader, prng.between(3, 20));
    stage.follow([
      {
        when: () => log.lastIndex > log.commit + 1 && raft.log.commit > log.commit + 1,
        patienceUs: stage.timeoutUs / 2,
        act: () => {
          stage.reached('late-answers');
          stage.enter(leader, (core) => core.reportUnreachable(id));
          stage.propose(leader, 1);
        },
      },
      {
        when: () => raft.log.commit <= log.commit,
        patienceUs: stage.timeoutUs / 2,
        act: () => network.release(id, leader.id),
      },
    ]);
  }

  /**
   * Pauses a leader while answers to its heartbeats are still under way, and for long enough that
   * another is elected. When it wakes up, it takes in reads first, then the old answers, and only
   * then what the new leader says.
   */
  #sleepingLeader(leader: SimMember, prng: Prng): void {
    const { stage } = this;
    const world = this.#world;
    const { clock, network } = world;
    const { process } = leader;
    const tickUs = world.plan.tickMs * 1000;
    stage.begin('sleeping-leader');
    const awakeUs = 2 * world.plan.heartbeatTicks * tickUs;
    const asleepUs = stage.timeoutUs + prng.below(stage.timeoutUs);
    const clearUs = clock.nowUs + awakeUs + asleepUs + prng.between(1, 3 * tickUs);
    for (const id of stage.others(leader)) network.clog(id, leader.id, clearUs);
    clock.after(awakeUs, () => process?.pause());
    clock.after(awakeUs + asleepUs, () => {
      process?.resume();
      const old = leader.subject?.raft.role === Role.Leader && world.leader() !== leader;
      if (old) stage.reached('sleeping-leader');
      stage.end();
    });
  }

  /** Replaces some voters, up to all, at once. As soon as that has begun, one half is cut off. */
  #jointSplit(leader: SimMember, raft: Raft, action: FaultAction, prng: Prng): void {
    const { stage } = this;
    const world = this.#world;
    const { voters } = raft.tracker.conf;
    const changes: MemberChange[] = [];
    for (const id of prng.shuffle(voters).slice(0, prng.between(1, voters.length))) {
      const fresh = this.#newcomer();
      if (fresh === undefined) return;
      const op = prng.below(3) === 0 ? ConfChangeOp.AddLearner : ConfChangeOp.Remove;
      changes.push(fresh, { op, id });
    }
    stage.begin('joint-split');
    stage.change(leader, changes);
    const away = prng.pick(['voters', 'votersOutgoing', 'leader'] as const);
    const durationUs = action.durationMs * 1000;
    const endUs = world.clock.nowUs + 3 * stage.timeoutUs + durationUs;
    stage.follow([
      {
        when: () => isJoint(raft.tracker.conf),
        patienceUs: 3 * stage.timeoutUs,
        act: () => {
          stage.reached('joint-split');
          const { conf } = raft.tracker;
          if (away === 'leader') {
            leader.crash();
            world.restartLater(leader, durationUs);
            return;
          }
          const other = away === 'voters' ? conf.votersOutgoing : conf.voters;
          const half = conf[away].filter((id) => id !== leader.id && !other.includes(id));
          stage.cut(
            half,
            stage
              .others(leader)
              .filter((id) => !half.includes(id))
              .concat(leader.id),
          );
          stage.propose(leader, prng.between(1, 4));
        },
      },
      {
        when: () => world.clock.nowUs >= endUs,
        patienceUs: Number.POSITIVE_INFINITY,
        act: () => undefined,
      },
    ]);
  }

  /**
   * Tells a member whose disk hangs of two membership changes, and that one of them is committed,
   * while it can apply neither. Then the leader goes.
   */
  #lateChange(leader: SimMember, raft: Raft, prng: Prng): void {
    const { stage } = this;
    const world = this.#world;
    const { conf } = raft.tracker;
    const [slow, ...rest] = prng.shuffle(conf.voters.filter((id) => id !== leader.id));
    if (slow === undefined || rest.length === 0 || isJoint(conf)) return;
    const changes = this.#twoAtOnce(rest);
    const late = world.member(slow);
    if (changes.length === 0 || late.subject === undefined) return;
    stage.begin('late-change');
    late.disk.stall(world.clock.nowUs + 6 * stage.timeoutUs);
    // The write under way ends soon; the next one hangs.
    stage.propose(leader, 1);
    const wroteUs = 2 * world.plan.diskLatencyUs + 1_000;
    world.clock.after(wroteUs, () => stage.change(leader, changes));
    stage.follow([
      {
        when: () => changesAhead(late.subject?.raft) >= 2,
        patienceUs: 3 * stage.timeoutUs,
        act: () => {
          stage.reached('late-change');
          leader.crash();
          world.restartLater(leader, 4 * stage.timeoutUs);
        },
      },
      { when: () => leader.running, patienceUs: 5 * stage.timeoutUs, act: () => undefined },
    ]);
  }

  /**
   * Stops a leader as soon as another member has its membership change. The next leader, with that
   * change in its log but not applied, gets a request for another one at once (checklist 40).
   */
  #hastyChange(leader: SimMember, raft: Raft, prng: Prng): void {
    const { stage } = this;
    const world = this.#world;
    const { conf } = raft.tracker;
    const [first, second] = prng.shuffle(conf.voters.filter((id) => id !== leader.id));
    if (first === undefined || second === undefined || isJoint(conf)) return;
    const demote = (id: MemberId): MemberChange[] => [{ op: ConfChangeOp.AddLearner, id }];
    const hasChange = (id: MemberId) => changesAhead(world.member(id).subject?.raft) > 0;
    stage.begin('hasty-change');
    stage.change(leader, demote(first));
    stage.follow([
      {
        when: () => hasChange(second),
        patienceUs: stage.timeoutUs,
        act: () => {
          leader.crash();
          world.restartLater(leader, 4 * stage.timeoutUs);
        },
      },
      {
        when: () => world.leader() !== undefined && hasChange(world.leader()!.id),
        patienceUs: 3 * stage.timeoutUs,
        act: () => {
          const next = world.leader()!;
          stage.reached('hasty-change');
          const other = next.id === second ? first : second;
          // Promotes it, so that it is not demoted after all; or demotes another one too.
          const op = prng.pick([ConfChangeOp.AddVoter, ConfChangeOp.AddLearner]);
          stage.change(next, [{ op, id: other, info: infoOf(other) }]);
        },
      },
    ]);
  }

  /** Makes a change that needs a joint configuration: demotes two, or replaces one. */
  #twoAtOnce([first, second, third]: readonly MemberId[]): MemberChange[] {
    if (third !== undefined) {
      return [first!, second!].map((id) => ({ op: ConfChangeOp.AddLearner, id }));
    }
    const fresh = this.#newcomer();
    return fresh === undefined ? [] : [fresh, { op: ConfChangeOp.Remove, id: first! }];
  }

  #newcomer(): MemberChange | undefined {
    if (this.#world.members.length >= MAX_IDS) return undefined;
    const { id } = this.#world.addMember();
    return { op: ConfChangeOp.AddVoter, id, info: infoOf(id) };
  }

  /**
   * Lets another leader, while the disk of a follower hangs, replace what the first one had it
   * write. The first write ends only then (checklist 23).
   */
  #lateWrite(first: SimMember, raft: Raft, prng: Prng): void {
    const { stage } = this;
    const world = this.#world;
    const [follower, ...rest] = prng.shuffle(stage.others(first));
    const late = follower === undefined ? undefined : world.member(follower);
    if (follower === undefined || late?.subject === undefined || rest.length < 2) return;
    const { timeoutUs } = stage;
    const { term } = raft;
    const index = raft.log.lastIndex + 1;
    const termAt = () => late.subject?.raft.log.term(index) ?? 0;
    stage.begin('late-write');
    late.disk.stall(world.clock.nowUs + prng.between(2, 4) * timeoutUs);
    stage.cut([first.id, follower], rest);
    stage.propose(first, prng.between(1, 4));
    stage.follow([
      {
        when: () => termAt() === term,
        patienceUs: timeoutUs,
        act: () => {
          stage.mend();
          stage.cut([first.id], [follower, ...rest]);
        },
      },
      {
        when: () => termAt() > term,
        patienceUs: 4 * timeoutUs,
        act: () => stage.reached('late-write'),
      },
    ]);
  }
}
