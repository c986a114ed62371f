import type { MemberId } from '@swarm/raft';
import type { MemberChange, RaftCore } from '@swarm/raft/internals';
import { encodeCommand, OpKind } from '@swarm/sim';
import { coreOf, wake } from '@swarm/raft/internals';
import type { SimMember } from './member.js';
import type { Play } from './plan.js';
import type { RaftWorld } from './world.js';

/** How often a play checks its condition. */
const LOOK_US = 200;
/** Ids of proposals that belong to no client; above all that clients use, below 2^32. */
const OWN_PROPOSALS = 2 ** 31;

/** One step of a play: what it waits for, for how long at most, and what it then does. */
export interface Scene {
  readonly when: () => boolean;
  readonly patienceUs: number;
  readonly act: () => void;
}

/** The building blocks of plays (plays.ts). */
export class Stage {
  readonly world: RaftWorld;
  playing = false;
  #proposals = 0;
  #cuts: [MemberId, MemberId][] = [];

  constructor(world: RaftWorld) {
    this.world = world;
  }

  /**
   * A follower that hears nothing campaigns within this time, or a little more if its clock is
   * slow.
   */
  get timeoutUs(): number {
    const { tickMs, electionTicks } = this.world.plan;
    return 2 * tickMs * electionTicks * 1000;
  }

  begin(play: Play): void {
    this.playing = true;
    this.world.note('play', 0, play);
  }

  /** Notes that the play has reached the state it is for. */
  reached(play: Play): void {
    this.world.coverage.mark(play);
    this.world.note('play', 0, play, 'reached');
  }

  /** Repairs what the play cut. */
  end(): void {
    this.mend();
    this.playing = false;
  }

  /**
   * Plays one scene after another. The play ends after the last, or when a scene's condition does
   * not come in time.
   */
  follow(scenes: readonly Scene[]): void {
    const [scene, ...rest] = scenes;
    if (scene === undefined) {
      this.end();
      return;
    }
    const { clock } = this.world;
    const endUs = clock.nowUs + scene.patienceUs;
    const look = () => {
      if (!this.world.faultsHappen || clock.nowUs > endUs) {
        this.end();
      } else if (scene.when()) {
        scene.act();
        this.follow(rest);
      } else {
        clock.after(LOOK_US, look);
      }
    };
    look();
  }

  others(member: SimMember): MemberId[] {
    const running = this.world.members.filter(({ running }) => running);
    return running.map(({ id }) => id).filter((id) => id !== member.id);
  }

  cut(left: readonly MemberId[], right: readonly MemberId[]): void {
    const { network } = this.world;
    for (const a of left) {
      for (const b of right) {
        this.#cuts.push([a, b], [b, a]);
        network.cut(a, b);
        network.cut(b, a);
      }
    }
  }

  mend(): void {
    for (const [from, to] of this.#cuts) this.world.network.mend(from, to);
    this.#cuts = [];
  }

  /** Proposes entries that change no state, for which nobody waits. */
  propose(member: SimMember, count: number): void {
    const datas = Array.from({ length: count }, () => {
      const id = OWN_PROPOSALS + this.#proposals++;
      return encodeCommand({ id, kind: OpKind.Read, key: 0, value: 0, expected: 0 }, 0);
    });
    this.enter(member, (core) => core.propose(datas));
  }

  /** The host makes one change at a time; its core can make several. */
  change(member: SimMember | undefined, changes: readonly MemberChange[]): void {
    if (member === undefined || changes.length === 0) return;
    this.enter(member, (core) => {
      try {
        core.proposeConfChange({ changes });
      } catch (error) {
        this.world.note('refused', member.id, String(error));
      }
    });
  }

  /** Does something to a member's core, in its process. */
  enter(member: SimMember, act: (core: RaftCore) => void): void {
    const { node, process } = member;
    process?.enter(() => {
      if (node === undefined || node !== member.node) return;
      act(coreOf(node));
      wake(node);
    });
  }
}
