import type { MemberId, TraceSink as RaftTraceSink } from '@swarm/raft';
import { isJoint } from '@swarm/raft/internals';
import {
  checkLinearizable,
  History,
  type LineSink,
  NEVER,
  OpKind,
  Outcome,
  type RunResult,
  runSteps,
  Verdict,
  Violation,
} from '@swarm/sim';
import { SimClient } from './client.js';
import { checkLogOrder } from './log-order.js';
import { MemberState } from './member.js';
import type { Plan } from './plan.js';
import { recoverable } from './recoverable.js';
import { RaftWorld } from './world.js';

/** More events than any sound run takes: something loops. */
const MAX_EVENTS = 3_000_000;
/** After the healing, everything must be well within this time. */
const CONVERGENCE_MS = 300_000;
/** How long clients continue after the healing, while past leaders hear of the present one. */
const HEALED_US = 1_000_000;
/**
 * How long after the healing clients write: a new member that gets the log an entry at a time would never
 * have most of one that grows as fast.
 */
const WRITES_MS = 20_000;
/** How long to wait for a cluster that need not come back; waiting longer only costs time. */
const HOPELESS_MS = 30_000;
/** How long to retry each operation: a leader may be lost over slow links, and another elected. */
const SERVE_MS = 60_000;
const SERVE_TIMEOUT_MS = 10_000;
const LOOK_US = 100_000;

/**
 * Runs one plan: first faults, with invariants checked after every step; then healing, after which
 * the cluster must converge, serve, and have lost nothing it acknowledged; then the check of the
 * clients' histories.
 * @param trace receives a line for everything that happens
 * @param raftTrace receives the members' state transitions (trace.ts)
 */
export async function runPlan(
  plan: Plan,
  trace?: LineSink,
  raftTrace?: RaftTraceSink,
): Promise<RunResult<Plan>> {
  const run = new GroupRun(plan, trace, raftTrace);
  await run.drive();
  return run.result();
}

class GroupRun {
  readonly #plan: Plan;
  readonly #world: RaftWorld;
  readonly #history = new History();
  readonly #clients: SimClient[] = [];
  #over = false;
  #undecided = 0;

  constructor(plan: Plan, trace: LineSink | undefined, raftTrace: RaftTraceSink | undefined) {
    this.#plan = plan;
    this.#world = new RaftWorld(plan, trace, raftTrace);
  }

  drive(): Promise<void> {
    this.#begin();
    return runSteps(() => {
      this.#step();
      return !this.#over;
    });
  }

  #begin(): void {
    const world = this.#world;
    const plan = this.#plan;
    for (let i = 0; i < plan.members; i++) world.addMember(true);
    for (let id = 1; id <= plan.clients; id++) {
      const client = new SimClient(world, id, this.#history);
      this.#clients.push(client);
      client.run();
    }
    world.nemesis.schedule();
    world.operator.run();
    world.clock.after(plan.faultsMs * 1000, () => this.#heal());
  }

  #step(): void {
    if (this.#over) return;
    const world = this.#world;
    try {
      world.check();
      if (world.failure !== undefined) {
        this.#over = true;
        return;
      }
      const event = world.clock.next();
      if (event === undefined || world.clock.count > MAX_EVENTS) {
        throw new Violation('liveness', `${world.clock.count} events and no end`);
      }
      event.run();
    } catch (error) {
      this.#over = true;
      world.fail(
        error instanceof Violation
          ? error
          : new Violation('simulator', (error as Error).stack ?? String(error)),
      );
    }
  }

  // --- Healing

  #heal(): void {
    const world = this.#world;
    const { network } = world;
    world.note('healing', 0);
    world.faultsHappen = false;
    network.mendAll();
    network.plan = {
      ...network.plan,
      loss: NEVER,
      duplicate: NEVER,
      replay: NEVER,
      reorder: NEVER,
      chunkLoss: NEVER,
      delayUs: world.plan.healedDelayUs,
    };
    for (const member of world.members) {
      member.stepsToCrash = 0;
      member.crashWhileStarting = false;
      member.crashWhileRestoring = false;
      member.disk.stall(0);
      member.disk.setFull(false);
      member.process?.resume();
      if (member.state === MemberState.Down) world.restartLater(member);
    }
    const healedMs = world.clock.nowMs;
    const look = () => {
      this.#startAll();
      if (world.clock.nowMs - healedMs > WRITES_MS)
        world.readsOnlyUntilUs = Number.MAX_SAFE_INTEGER;
      const missing = this.#missing();
      if (missing === undefined) this.#serve();
      else if (this.#goesOn(world.clock.nowMs - healedMs)) world.clock.after(LOOK_US, look);
      else this.#stuck(missing);
    };
    world.clock.after(HEALED_US, look);
  }

  /** What is still missing until all is well. */
  #missing(): string | undefined {
    const world = this.#world;
    const leader = world.leader();
    const raft = leader?.subject?.raft;
    if (leader === undefined || raft === undefined) return 'there is no leader';
    if (isJoint(raft.tracker.conf)) return 'the configuration is joint';
    if (!world.operator.content)
      return `the membership is not as wanted: ${world.operator.describe()}`;
    // A damaged disk shows when it is opened; then the operator replaces its member.
    const closed = world.members.find(
      ({ state }) => state === MemberState.Down || state === MemberState.Starting,
    );
    if (closed !== undefined) return `member ${closed.id} is ${closed.state}`;
    // Clients would postpone the end for ever.
    if (world.clientsRun) {
      world.clientsRun = false;
      return 'clients still write';
    }
    for (const id of raft.tracker.members) {
      const { subject, state } = world.member(id);
      if (subject === undefined) return `member ${id} is ${state}`;
      const { log } = subject.raft;
      if (log.applied !== raft.log.lastIndex || log.lastIndex !== raft.log.lastIndex) {
        return `member ${id} has applied ${log.applied} of ${raft.log.lastIndex}`;
      }
      if (subject.raft.leader !== leader.id) return `member ${id} follows ${subject.raft.leader}`;
    }
    return undefined;
  }

  /** Decides whether to keep waiting, this long after the healing. */
  #goesOn(sinceMs: number): boolean {
    return sinceMs < CONVERGENCE_MS && (sinceMs < HOPELESS_MS || recoverable(this.#world));
  }

  /** A member that was stopping in an orderly way at the healing may only be down now. */
  #startAll(): void {
    for (const member of this.#world.members) {
      if (member.state === MemberState.Down) member.start();
    }
  }

  #stuck(missing: string): void {
    const world = this.#world;
    if (!recoverable(world)) {
      world.coverage.mark('quorum of disks lost');
      this.#judge();
      return;
    }
    throw new Violation('liveness', `${CONVERGENCE_MS} ms after the healing ${missing}`);
  }

  /** Writes each key once more through the leader, then reads it on every member. */
  #serve(): void {
    const world = this.#world;
    const plan = this.#plan;
    // Links may be slower than the clients' timeout.
    world.clientTimeoutMs = SERVE_TIMEOUT_MS;
    const ids = world.leader()!.subject!.raft.tracker.members;
    const jobs: ServeJob[] = [];
    for (let key = 0; key < plan.keys; key++) {
      jobs.push({ run: (then) => this.#writeLast(key, then) });
      for (const id of ids) {
        jobs.push({ id, run: (then) => this.#clients[0]!.read(world.member(id), key, then) });
      }
    }
    const next = (at: number, sinceMs = world.clock.nowMs) => {
      const job = jobs[at];
      if (job === undefined) {
        this.#judge();
        return;
      }
      // A change requested before the healing may still remove one.
      const members = world.leader()?.subject?.raft.tracker.members;
      if (job.id !== undefined && members?.includes(job.id) === false) {
        next(at + 1);
        return;
      }
      const asked = this.#history.operations.length;
      job.run(() => {
        const { outcome } = this.#history.operations[asked]!;
        const done = outcome === Outcome.Done;
        if (!done && world.clock.nowMs - sinceMs >= SERVE_MS) {
          world.fail(new Violation('liveness', `a healed cluster does not serve: ${outcome}`));
        }
        if (!done) this.#startAll();
        const pauseUs = done ? 1 : LOOK_US;
        world.clock.after(pauseUs, () => (done ? next(at + 1) : next(at, sinceMs)));
      });
    };
    next(0);
  }

  #writeLast(key: number, then: () => void): void {
    const world = this.#world;
    const history = this.#history;
    const client = this.#clients[0]!;
    const leader = world.leader();
    const value = LAST_VALUES + history.operations.length;
    const fields = { client: client.id, kind: OpKind.Write, key, value, expected: 0 };
    const operation = history.invoke(fields);
    if (leader !== undefined) client.propose(leader, operation, then);
    else then();
  }

  // --- Judgement

  #judge(): void {
    const world = this.#world;
    const history = this.#history;
    this.#over = true;
    world.check();
    const entries = world.committed.map((known) => known?.entry);
    checkLogOrder(history.operations, entries);
    const { verdict, key } = checkLinearizable(history.operations);
    if (verdict === Verdict.Not) {
      throw new Violation('linearizability', `no order explains what clients saw of key ${key}`);
    }
    if (verdict === Verdict.Undecided) this.#undecided++;
  }

  result(): RunResult<Plan> {
    const plan = this.#plan;
    const world = this.#world;
    const history = this.#history;
    const undecided = this.#undecided;
    return {
      plan,
      failure: world.failure,
      digest: world.digest.toString(),
      virtualMs: world.clock.nowMs,
      events: world.clock.count,
      operations: history.operations.length,
      undecided,
      coverage: world.coverage,
    };
  }
}

/** Something that a healed cluster must do. */
interface ServeJob {
  /** The member that must do it; absent: the current leader. */
  readonly id?: MemberId;
  readonly run: (then: () => void) => void;
}

/** Above everything that clients write. */
const LAST_VALUES = 1_000_000_000;
