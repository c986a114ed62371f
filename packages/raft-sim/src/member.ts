import {
  type ConfState,
  type Index,
  type MemberId,
  type MemberInfo,
  RaftNode,
  SILENT_LOGGER,
  StorageCorruptError,
  StorageFailedError,
} from '@swarm/raft';
import { EMPTY_CONF } from '@swarm/raft/internals';
import { Prng, SimProcess, Violation } from '@swarm/sim';
import type { Mark } from './marks.js';
import { DurableLog, type StorageStep, WatchedStorage } from './durable-log.js';
import { membershipOf, raftOf, sendsSnapshot } from '@swarm/raft/internals';
import { pipelineWrites } from './internals.js';
import type { Invariants } from './invariants/all.js';
import type { Subject } from './invariants/subject.js';
import type { LogDisk } from './member-disk.js';
import { RareStates } from './rare-states.js';
import { EMPTY_STATE, SimStateMachine, type StateDisk } from './state-machine.js';
import { SimTransport } from './transport.js';
import type { RaftWorld } from './world.js';

/** Whether a member can come back. */
export const MemberState = {
  Down: 'down',
  Starting: 'starting',
  Up: 'up',
  /** Its log is lost or damaged: this id never votes again. */
  Lost: 'lost',
} as const;
export type MemberState = (typeof MemberState)[keyof typeof MemberState];

export function infoOf(id: MemberId): MemberInfo {
  return { id, address: `198.18.0.${id}:2377`, nodeId: `node${id}` };
}

/** One member: what survives a crash, and the process that runs while it is up. */
export class SimMember {
  readonly id: MemberId;
  readonly disk: LogDisk;
  readonly durable = new DurableLog();
  readonly stateDisk: StateDisk = { saved: EMPTY_STATE, restoring: false };
  state: MemberState = MemberState.Down;
  /** The configuration and applied index of its last process at its end. */
  lastConf: { readonly conf: ConfState; readonly applied: Index };
  /** Its disk was damaged on purpose: opening may report that. */
  damaged = false;
  process: SimProcess | undefined;
  node: RaftNode | undefined;
  machine: SimStateMachine | undefined;
  subject: Subject | undefined;
  /** It dies this many storage steps from now. */
  stepsToCrash = 0;
  crashWhileRestoring = false;
  crashWhileStarting = false;
  readonly marks = new RareStates();
  /** Part of it ran since it was last checked. */
  touched = false;
  readonly #world: RaftWorld;
  readonly #prng: Prng;
  readonly #founding: boolean;
  readonly #driftPpm: number;
  #transport: SimTransport | undefined;

  /** @param founding whether it is one of the first members */
  constructor(world: RaftWorld, id: MemberId, founding: boolean) {
    this.#world = world;
    this.id = id;
    this.#founding = founding;
    this.#prng = new Prng(world.plan.seed, `member ${id}`);
    const { driftPpm, slowClock } = world.plan;
    const within = this.#prng.between(-driftPpm, driftPpm);
    const atBound = id === slowClock ? -driftPpm : driftPpm;
    this.#driftPpm = slowClock > 0 ? atBound : within;
    this.disk = world.makeDisk(id, this.#prng);
    // The first opening makes files, and comes before the plan's faults.
    this.crashWhileStarting =
      world.plan.profile === 'level' && world.faultsHappen && this.#prng.below(3) === 0;
    const voters = founding ? world.founders.map((info) => info.id) : [];
    this.lastConf = { conf: { ...EMPTY_CONF, voters }, applied: 0 };
  }

  get running(): boolean {
    return this.process?.alive === true;
  }

  get intact(): boolean {
    return this.state !== MemberState.Lost && !this.damaged;
  }

  start(): void {
    if (this.running || this.state === MemberState.Lost) return;
    const { id } = this;
    const world = this.#world;
    const prng = this.#prng;
    const { plan, coverage } = world;
    const process = new SimProcess(world.clock, this.#driftPpm, () => world.touch(this));
    this.process = process;
    this.state = MemberState.Starting;
    world.note('start', id);
    if (this.crashWhileStarting && this.disk.openingSteps > 1) {
      this.crashWhileStarting = false;
      this.stepsToCrash = prng.between(1, this.disk.openingSteps);
    }
    const watcher = {
      durable: this.durable,
      step: (step: StorageStep) => this.#step(step),
      lossGoesUnnoticed: () => {
        const unnoticed = this.damaged && this.disk.unnoticed;
        if (unnoticed) coverage.mark('damage that cannot be detected');
        return unnoticed;
      },
      reading: () => process.sleep(1 + prng.delay(plan.diskLatencyUs)),
    };
    const log = this.disk.open(process, () => this.#step('file'));
    const storage = new WatchedStorage(log, watcher);
    this.#transport = new SimTransport(world.network, id, process);
    this.machine = new SimStateMachine({
      disk: this.stateDisk,
      process,
      prng,
      latencyUs: plan.stateLatencyUs,
      chunkBytes: plan.chunkBytes,
      coverage,
      observer: world.stateObserver(id),
    });
    const opening = RaftNode.open({
      id,
      ...(this.#founding ? { members: world.founders } : { seeds: world.seeds(id) }),
      storage,
      transport: this.#transport,
      stateMachine: this.machine,
      clock: process,
      random: prng.fraction,
      tickMs: plan.tickMs,
      electionTicks: plan.electionTicks,
      heartbeatTicks: plan.heartbeatTicks,
      commitDelayMs: plan.commitDelayMs,
      readMode: plan.readMode,
      maxClockDriftPpm: plan.driftPpm,
      limits: plan.limits,
      logger: { ...SILENT_LOGGER, warn: (message) => this.#warned(message) },
      ...(world.raftTrace !== undefined && { trace: world.raftTrace }),
      onFatal: (error) => this.#fatal(process, error),
    });
    opening.then(
      (node) => {
        if (this.process === process && process.alive) this.#opened(node, process);
      },
      (error: unknown) => this.#fatal(process, error),
    );
  }

  #warned(message: string): void {
    if (message.includes('disk is too slow')) {
      this.#world.coverage.mark('leader steps down for its disk');
    }
    this.#world.note('warns', this.id, message);
  }

  #opened(node: RaftNode, process: SimProcess): void {
    this.node = node;
    this.state = MemberState.Up;
    // The damage to its disk hit nothing that is still needed.
    this.damaged = false;
    const { writesInFlight } = this.#world.plan;
    if (writesInFlight > 1) pipelineWrites(node, writesInFlight);
    const raft = raftOf(node);
    this.subject = {
      id: this.id,
      raft,
      membership: membershipOf(node),
      durable: this.durable,
      nowMs: () => process.now(),
      sendsSnapshot: (to) => sendsSnapshot(node, to),
    };
    this.marks.reset();
    this.#world.opened(this);
  }

  /** Handles a node that gave up. Only deliberate damage to its disk is an excuse. */
  #fatal(process: SimProcess, error: unknown): void {
    if (this.process !== process || !process.alive) return;
    const world = this.#world;
    world.note('stops', this.id, String(error).slice(0, 100));
    if (error instanceof StorageCorruptError && this.damaged) {
      world.coverage.mark('damage noticed');
      this.#end();
      this.lose();
      return;
    }
    const full = error instanceof StorageFailedError || /ENOSPC|No space left/.test(String(error));
    if (full) {
      this.#end();
      world.restartLater(this);
      return;
    }
    world.fail(error instanceof Violation ? error : new Violation('member stops', String(error)));
  }

  /** Loses the disk: nothing of it is left to build on. */
  lose(): void {
    this.#end();
    this.state = MemberState.Lost;
    this.#world.note('lost', this.id);
  }

  /** Kills the process, whatever it was doing. */
  crash(): void {
    const { process } = this;
    const world = this.#world;
    if (process === undefined || !process.alive) return;
    if (this.stateDisk.restoring) world.coverage.mark('crash while restoring');
    if (this.state === MemberState.Starting) world.coverage.mark('crash while starting');
    world.note('crash', this.id);
    this.#end();
  }

  #end(): void {
    const { process, subject } = this;
    if (process === undefined || !process.alive) return;
    // What it did in the step in which it dies counts: a commit, say, that it has already announced.
    if (this.touched && subject !== undefined) {
      this.#world.guard(() => this.#world.invariants.check(subject));
    }
    process.kill();
    const raft = subject?.raft;
    if (raft !== undefined) {
      this.lastConf = { conf: raft.tracker.conf, applied: raft.log.applied };
    }
    this.#world.ended(this);
    this.machine?.crash(this.#prng);
    this.disk.crash();
    if (this.stateDisk.saved.index > this.durable.hardState.commit) {
      this.#world.coverage.mark('state ahead of the log after a crash');
    }
    if (this.#transport !== undefined) this.#world.network.detach(this.id, this.#transport);
    this.stateDisk.restoring = false;
    this.state = MemberState.Down;
    this.process = undefined;
    this.node = undefined;
    this.subject = undefined;
    this.machine = undefined;
    this.stepsToCrash = 0;
    this.crashWhileStarting = false;
    this.crashWhileRestoring = false;
  }

  #step(step: StorageStep): void {
    const { process } = this;
    const world = this.#world;
    if (step !== 'file') world.note('disk', this.id, step);
    const dies = this.crashWhileStarting || (this.stepsToCrash > 0 && --this.stepsToCrash === 0);
    if (!dies || process === undefined) return;
    this.crashWhileStarting = false;
    this.#crashSoon(process, this.#world.plan.diskLatencyUs, 'crash at a storage step');
  }

  /** Notes that a snapshot begins to come in. */
  restoring(): void {
    if (!this.crashWhileRestoring || this.process === undefined) return;
    this.crashWhileRestoring = false;
    this.#crashSoon(this.process, 4 * this.#world.plan.stateLatencyUs, 'crash');
  }

  /** Crashes at once, or at some moment within `withinUs`. */
  #crashSoon(process: SimProcess, withinUs: number, mark: Mark): void {
    const world = this.#world;
    const delayUs = this.#prng.below(2) === 0 ? 0 : this.#prng.below(withinUs);
    world.clock.after(delayUs, () => {
      if (this.process !== process || !process.alive) return;
      world.coverage.mark(mark);
      this.crash();
      world.restartLater(this);
    });
  }

  /** Stops in an orderly way that the member knows of. */
  async stopInOrder(): Promise<void> {
    const { node, process } = this;
    if (node === undefined || process === undefined) return;
    try {
      await node.close();
    } catch (error) {
      this.#fatal(process, error);
    }
    if (this.process === process && process.alive) this.#end();
  }

  /** Called by the invariants' owner after each of this member's steps. */
  check(invariants: Invariants): void {
    this.touched = false;
    if (this.subject !== undefined) invariants.check(this.subject);
  }
}
