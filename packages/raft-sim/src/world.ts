import {
  type MemberId,
  type MemberInfo,
  type Message,
  MessageType,
  type TraceSink as RaftTraceSink,
} from '@swarm/raft';
import { describeMessage } from '@swarm/raft/internals';
import { Coverage, Digest, type LineSink, Prng, Violation, VirtualClock } from '@swarm/sim';
import { type Mark, MARKS } from './marks.js';
import type { DurableLog } from './durable-log.js';
import { Invariants } from './invariants/all.js';
import type { CommittedEntry, Evidence, Subject } from './invariants/subject.js';
import { LevelDisk } from './disk/level-disk.js';
import { infoOf, MemberState, SimMember } from './member.js';
import { type LogDisk, RecordDisk } from './member-disk.js';
import { Nemesis } from './nemesis.js';
import { RaftNetwork } from './network.js';
import { Operator } from './operator.js';
import type { Plan } from './plan.js';
import type { StateObserver } from './state-machine.js';

/** Everything in one run: time, network, members, and what watches them. */
export class RaftWorld implements Evidence {
  readonly plan: Plan;
  readonly clock = new VirtualClock();
  readonly coverage = new Coverage<Mark>(MARKS);
  readonly digest = new Digest();
  readonly network: RaftNetwork;
  readonly invariants: Invariants;
  readonly operator: Operator;
  readonly nemesis: Nemesis;
  readonly members: SimMember[] = [];
  readonly founders: readonly MemberInfo[];
  readonly committed: CommittedEntry[] = [undefined as unknown as CommittedEntry];
  readonly subjects = new Map<MemberId, Subject>();
  /** Receives the members' state transitions, all in one stream. */
  readonly raftTrace: RaftTraceSink | undefined;
  failure: Violation | undefined;
  clientsRun = true;
  faultsHappen = true;
  /** Until then clients write nothing. */
  readsOnlyUntilUs = 0;
  /** How long clients wait for an answer. */
  clientTimeoutMs: number;
  readonly #byId = new Map<MemberId, SimMember>();
  readonly #trace: LineSink | undefined;
  readonly #prng: Prng;
  #touched: SimMember[] = [];
  /** Empty; swapped with the other list while that is processed. */
  #idleTouched: SimMember[] = [];

  constructor(plan: Plan, trace?: LineSink, raftTrace?: RaftTraceSink) {
    this.plan = plan;
    this.#trace = trace;
    this.raftTrace = raftTrace;
    this.clientTimeoutMs = plan.clientTimeoutMs;
    this.#prng = new Prng(plan.seed, 'world');
    this.invariants = new Invariants(this);
    const observer = {
      sent: (message: Message) => this.#sent(message),
      arrived: (message: Message) => this.#arrived(message),
    };
    this.network = new RaftNetwork(
      plan.network,
      this.clock,
      new Prng(plan.seed, 'network'),
      observer,
      this.coverage,
    );
    this.founders = Array.from({ length: plan.members }, (_, i) => infoOf(i + 1));
    this.operator = new Operator(this);
    this.nemesis = new Nemesis(this);
  }

  // --- Members

  member(id: MemberId): SimMember {
    return this.#byId.get(id)!;
  }

  /** Adds a member under an id that was never used. */
  addMember(founding = false): SimMember {
    const member = new SimMember(this, this.members.length + 1, founding);
    this.members.push(member);
    this.#byId.set(member.id, member);
    member.start();
    return member;
  }

  makeDisk(id: MemberId, prng: Prng): LogDisk {
    const { coverage } = this;
    const { diskLatencyUs: latencyUs, writeBufferBytes } = this.plan;
    const nowUs = () => this.clock.nowUs;
    return writeBufferBytes > 0
      ? new LevelDisk({ id, prng, latencyUs, writeBufferBytes, coverage, nowUs })
      : new RecordDisk(id, prng, latencyUs, coverage, nowUs);
  }

  /** The members that a joining member may answer. */
  seeds(id: MemberId): MemberInfo[] {
    return this.members.filter((member) => member.id !== id).map((member) => infoOf(member.id));
  }

  /** The running leader of the highest term. */
  leader(): SimMember | undefined {
    let leader: SimMember | undefined;
    for (const member of this.members) {
      const raft = member.subject?.raft;
      if (raft?.role !== 'leader') continue;
      if (raft.term > (leader?.subject?.raft.term ?? 0)) leader = member;
    }
    return leader;
  }

  restartLater(member: SimMember, delayUs = this.#prng.below(3_000_000)): void {
    this.clock.after(delayUs, () => {
      if (member.state === MemberState.Down) member.start();
    });
  }

  opened(member: SimMember): void {
    this.subjects.set(member.id, member.subject!);
    this.touch(member);
  }

  ended(member: SimMember): void {
    this.subjects.delete(member.id);
    this.invariants.ended(member.id);
  }

  durable(id: MemberId): DurableLog | undefined {
    return this.#byId.get(id)?.durable;
  }

  // --- Watching

  touch(member: SimMember): void {
    if (member.touched) return;
    member.touched = true;
    this.#touched.push(member);
  }

  /** Checks every member that did something since the last call. */
  check(): void {
    const touched = this.#touched;
    if (touched.length === 0) return;
    this.#touched = this.#idleTouched;
    this.#idleTouched = touched;
    for (const member of touched) {
      const raft = member.subject?.raft;
      member.check(this.invariants);
      if (raft === undefined) continue;
      this.digest.add(raft.term);
      this.digest.add(raft.log.lastIndex);
      this.digest.add(raft.log.commit);
      this.digest.add(raft.log.applied);
      member.marks.look(raft, this);
    }
    while (touched.length > 0) touched.pop();
  }

  #sent(message: Message): void {
    const subject = this.subjects.get(message.from);
    if (subject !== undefined) this.guard(() => this.invariants.sent(subject, message));
    if (message.type === MessageType.PreVoteResponse && !message.granted) {
      this.coverage.mark('pre-vote refused');
    }
    if (message.type === MessageType.AppendResponse && message.rejected) {
      this.coverage.mark('append refused');
    }
  }

  #arrived(message: Message): void {
    const { digest } = this;
    digest.add(this.clock.nowUs);
    digest.add(message.type);
    digest.add(message.from * 1000 + message.to);
    digest.add(message.term);
    digest.add(tellingIndex(message));
    digest.add(message.type === MessageType.Append ? message.entries.length : 0);
    const subject = this.subjects.get(message.to);
    if (subject !== undefined) this.invariants.arrived(subject, message);
    if (this.#trace !== undefined) this.#line(message.to, `receives ${describeMessage(message)}`);
  }

  stateObserver(id: MemberId): StateObserver {
    const { stateMachines } = this.invariants;
    return {
      applied: (entry, chain) => this.guard(() => stateMachines.applied(id, entry, chain)),
      restored: (index, chain) => this.guard(() => stateMachines.restored(id, index, chain)),
      restoring: () => this.member(id).restoring(),
    };
  }

  /** A violation found inside a member must not pass for the member's own error. */
  guard(check: () => void): void {
    try {
      check();
    } catch (error) {
      if (!(error instanceof Violation)) throw error;
      this.fail(error);
    }
  }

  /** Keeps the first violation. */
  fail(violation: Violation): void {
    this.failure ??= violation;
  }

  /** For promises that may fail as part of the game. */
  ignore(promise: Promise<unknown>): void {
    promise.catch(() => undefined);
  }

  note(what: string, id: number, ...details: readonly (string | number)[]): void {
    this.digest.add(this.clock.nowUs);
    this.digest.add(id);
    for (let i = 0; i < what.length; i++) this.digest.add(what.charCodeAt(i));
    for (const detail of details) if (typeof detail === 'number') this.digest.add(detail);
    if (this.#trace !== undefined) this.#line(id, [what, ...details].join(' '));
  }

  #line(id: number, text: string): void {
    const raft = this.#byId.get(id)?.subject?.raft;
    const state =
      raft === undefined
        ? ''
        : ` | ${raft.role} term ${raft.term} commit ${raft.log.commit} last ${raft.log.lastIndex}`;
    const at = this.clock.nowMs.toFixed(3).padStart(10);
    this.#trace?.(`${at} ${String(id).padStart(2)} ${text}${state}`);
  }
}

/** The most telling number of a message; for the digest, which must tell two runs apart. */
function tellingIndex(message: Message): number {
  switch (message.type) {
    case MessageType.PreVote:
    case MessageType.Vote:
      return message.lastIndex;
    case MessageType.PreVoteResponse:
    case MessageType.VoteResponse:
      return message.commit;
    case MessageType.Append:
      return message.previousIndex;
    case MessageType.AppendResponse:
      return message.rejected ? message.previousIndex : message.match;
    case MessageType.Heartbeat:
      return message.match;
    case MessageType.HeartbeatResponse:
      return message.promiseMs;
    case MessageType.Snapshot:
      return message.snapshot?.index ?? 0;
    case MessageType.ReadIndexResponse:
      return message.index;
    default:
      return 0;
  }
}
