import { type MemberId, NotLeaderError, ProposalUnknownError, type RaftNode } from '@swarm/raft';
import { describeConf, isVoter } from '@swarm/raft/internals';
import { changesAhead } from './internals.js';
import { infoOf, MemberState, type SimMember } from './member.js';
import { MAX_IDS_HEALING } from './nemesis.js';
import { MAX_IDS } from './plan.js';
import type { RaftWorld } from './world.js';

const PERIOD_US = 400_000;

/** Runs the cluster: removes members whose disks are lost, and keeps the wanted number. */
export class Operator {
  wanted: number;
  readonly #world: RaftWorld;
  readonly #toRemove = new Set<MemberId>();
  /** Members to replace, and by whom: 0 until that is decided. */
  readonly #toReplace = new Map<MemberId, MemberId>();
  #busy = false;
  #job = '';

  constructor(world: RaftWorld) {
    this.#world = world;
    this.wanted = world.plan.members;
  }

  remove(id: MemberId): void {
    this.#toRemove.add(id);
  }

  /**
   * Replaces a member in one change, and repeats the request on each new leader until it is done.
   */
  replace(id: MemberId): void {
    if (!this.#toReplace.has(id)) this.#toReplace.set(id, 0);
  }

  run(): void {
    this.#world.clock.after(PERIOD_US, () => {
      if (!this.#busy) this.#act();
      this.run();
    });
  }

  /** True when nothing is left to do, and no change is under way that would leave something. */
  get content(): boolean {
    const raft = this.#world.leader()?.subject?.raft;
    if (this.#busy || raft === undefined || changesAhead(raft) > 0) return false;
    const { conf } = raft.tracker;
    const lost = this.#world.members.some(
      ({ id, state }) => state === MemberState.Lost && isVoter(conf, id),
    );
    return !lost && conf.learners.length === 0 && conf.voters.length >= Math.min(this.wanted, 3);
  }

  get #maxIds(): number {
    return this.#world.faultsHappen ? MAX_IDS : MAX_IDS_HEALING;
  }

  describe(): string {
    const subject = this.#world.leader()?.subject;
    const conf = subject === undefined ? '' : describeConf(subject.raft.tracker.conf);
    const members = this.#world.members.map(({ id, state }) => `${id} ${state}`).join(', ');
    const busy = this.#busy ? `busy with ${this.#job}` : 'idle';
    return `${conf}, wanted ${this.wanted}, ${members}, the operator is ${busy}`;
  }

  #act(): void {
    const world = this.#world;
    const leader = world.leader();
    const { node, process, subject } = leader ?? {};
    if (leader === undefined || node === undefined || process === undefined) return;
    const { conf } = subject!.raft.tracker;
    const { members } = subject!.membership.current;
    const isGone = (id: MemberId) => world.member(id).state === MemberState.Lost;
    // The lost ones first: until they are gone, they cost the others their reserve.
    const gone =
      members.find(({ id }) => isGone(id)) ?? members.find(({ id }) => this.#toRemove.has(id));
    const learner = conf.learners.find((id) => world.member(id).state === MemberState.Up);
    const many = members.length > this.wanted;
    let job: Promise<void> | undefined;
    if (gone !== undefined && (isGone(gone.id) || many)) {
      this.#job = `removing ${gone.id}`;
      job = this.#removal(gone.id, leader.id);
    } else if (this.#toReplace.size > 0) {
      job = this.#replacement(leader.id);
    } else if (learner !== undefined) {
      this.#job = `promoting ${learner}`;
      job = node.addMember(infoOf(learner)).then(() => world.coverage.mark('learner promoted'));
    } else if (members.length < this.wanted) {
      job = this.#addition(node);
    } else if (this.#toRemove.size > 0 && members.length === this.wanted && gone !== undefined) {
      job = this.#removal(gone.id, leader.id);
    }
    if (job === undefined) return;
    this.#busy = true;
    const free = world.clock.after(world.plan.clientTimeoutMs * 5_000, () => {
      this.#busy = false;
    });
    const done = () => {
      if (free.cancelled) return;
      free.cancelled = true;
      this.#busy = false;
    };
    job.then(done, (error: unknown) => {
      world.note('operator', leader.id, `${this.#job}: ${String(error)}`);
      done();
    });
  }

  /** Undefined when there may be no more members. */
  #addition(node: RaftNode): Promise<void> | undefined {
    const world = this.#world;
    const fresh = this.#newcomer();
    if (fresh === undefined) return undefined;
    this.#job = `adding ${fresh.id}`;
    return node.addMember(infoOf(fresh.id)).then(() => {
      world.coverage.mark('member added');
      world.coverage.mark('learner promoted');
    });
  }

  /** The first member that waits to be replaced; undefined when there may be no more members. */
  #replacement(leader: MemberId): Promise<void> | undefined {
    const world = this.#world;
    const [old, decided] = [...this.#toReplace][0]!;
    const known = world.members.find((member) => member.id === decided && this.#canJoin(member));
    const fresh = known ?? this.#newcomer();
    if (fresh === undefined) {
      this.#toReplace.delete(old);
      return undefined;
    }
    this.#toReplace.set(old, fresh.id);
    this.#job = `replacing ${old} by ${fresh.id}`;
    return world
      .member(leader)
      .node!.replaceMember(old, infoOf(fresh.id))
      .then(
        () => {
          this.#toReplace.delete(old);
          world.coverage.mark('member replaced');
        },
        (error: unknown) => {
          const isToBeRepeated =
            error instanceof NotLeaderError ||
            error instanceof ProposalUnknownError ||
            fresh.state === MemberState.Lost;
          if (!isToBeRepeated) this.#toReplace.delete(old);
          throw error;
        },
      );
  }

  /**
   * A member that waits to join, if there is one: one that got no answer asks again under the same id. A new id
   * for each attempt would fill the cluster once they are all carried out. Undefined when there may be no more
   * ids.
   */
  #newcomer(): SimMember | undefined {
    const world = this.#world;
    const membership = world.leader()?.subject?.membership;
    const waits = world.members.find(
      (member) => this.#canJoin(member) && membership?.info(member.id) === undefined,
    );
    return waits ?? (world.members.length < this.#maxIds ? world.addMember() : undefined);
  }

  /** Not without its disk: no operator starts a member whose disk is gone, and ids never come back. */
  #canJoin({ id, state }: SimMember): boolean {
    const removed = this.#world.leader()?.subject?.membership.current.removed ?? [];
    return state !== MemberState.Lost && !removed.includes(id);
  }

  #removal(id: MemberId, leader: MemberId): Promise<void> {
    const world = this.#world;
    this.#toRemove.delete(id);
    return world
      .member(leader)
      .node!.removeMember(id)
      .then(() => {
        world.coverage.mark('member removed');
        if (id === leader) world.coverage.mark('leader removed');
      });
  }
}
