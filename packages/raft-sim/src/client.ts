import {
  NotLeaderError,
  OverloadedError,
  ProposalDroppedError,
  ProposalTooLargeError,
  QuorumLostError,
  type RaftNode,
} from '@swarm/raft';
import {
  encodeCommand,
  type History,
  type Operation,
  OpKind,
  Outcome,
  Prng,
  type RegisterResult,
} from '@swarm/sim';
import { checkReadIndex } from './invariants/read-index.js';
import type { SimMember } from './member.js';
import type { RaftWorld } from './world.js';

/**
 * Reads, writes and compares-and-sets registers, one operation at a time, at members it chooses. An
 * operation without an answer in time is unknown to it, never absent.
 */
export class SimClient {
  readonly id: number;
  readonly #world: RaftWorld;
  readonly #prng: Prng;
  readonly #history: History;
  /** The last value it saw of each key. */
  readonly #seen = new Map<number, number>();
  #values = 0;

  constructor(world: RaftWorld, id: number, history: History) {
    this.#world = world;
    this.id = id;
    this.#history = history;
    this.#prng = new Prng(world.plan.seed, `client ${id}`);
  }

  /** Continues until the world tells clients to stop. */
  run(): void {
    const { clock, plan } = this.#world;
    const pause = () => this.#prng.delay(plan.thinkMs) * 1000 + this.#prng.below(1000);
    const next = () => {
      if (!this.#world.clientsRun) return;
      this.#act(() => clock.after(pause(), next));
    };
    clock.after(pause(), next);
  }

  #act(then: () => void): void {
    const prng = this.#prng;
    const world = this.#world;
    const key = prng.below(world.plan.keys);
    const draw = prng.below(10);
    const up: SimMember[] = [];
    // Every member that believes it leads: a deposed leader is the interesting one.
    const leaders: SimMember[] = [];
    for (const member of world.members) {
      if (member.node === undefined) continue;
      up.push(member);
      if (member.subject?.raft.role === 'leader') leaders.push(member);
    }
    if (up.length === 0) {
      then();
      return;
    }
    const anyone = prng.pick(up);
    const leader = leaders.length > 0 ? prng.pick(leaders) : anyone;
    const quiet = world.clock.nowUs < world.readsOnlyUntilUs;
    if (draw < 5 || quiet) this.read(prng.below(2) === 0 ? leader : anyone, key, then);
    else this.#write(prng.below(4) > 0 ? leader : anyone, key, draw, then);
  }

  #newValue(): number {
    this.#values++;
    return this.id * VALUES_PER_CLIENT + this.#values;
  }

  #write(member: SimMember, key: number, draw: number, then: () => void): void {
    const cas = draw >= 8;
    const operation = this.#history.invoke({
      client: this.id,
      kind: cas ? OpKind.Cas : OpKind.Write,
      key,
      value: this.#newValue(),
      expected: cas ? (this.#seen.get(key) ?? 0) : 0,
    });
    this.propose(member, operation, then);
  }

  /** @internal also used for the last writes of a run */
  propose(member: SimMember, operation: Operation, then: () => void): void {
    const world = this.#world;
    const prng = this.#prng;
    const settle = this.#withTimeout(operation, then);
    const { id, kind, key, value, expected } = operation;
    const padding = prng.below(world.plan.paddingBytes + 1);
    const data = encodeCommand({ id, kind, key, value, expected }, padding);
    const process = member.process!;
    process.enter(() => {
      const { node } = member;
      if (node === undefined || member.process !== process) return;
      node.submit(data, (error, result, index) => {
        if (error !== undefined) {
          settle(() => this.#failed(operation, error));
          return;
        }
        const { before, done } = result as RegisterResult;
        settle(() => {
          world.coverage.mark('proposal acknowledged');
          this.#seen.set(key, done ? value : before);
          this.#history.done(operation, { before, succeeded: done, index });
        });
      });
    });
  }

  read(member: SimMember, key: number, then: () => void): void {
    const world = this.#world;
    const operation = this.#history.invoke({
      client: this.id,
      kind: OpKind.Read,
      key,
      value: 0,
      expected: 0,
    });
    const settle = this.#withTimeout(operation, then);
    const known = world.committed.length - 1;
    const { process } = member;
    if (process === undefined) {
      settle(() => this.#history.refused(operation));
      return;
    }
    process.enter(() => {
      const { node, machine } = member;
      if (node === undefined || machine === undefined || member.process !== process) return;
      this.#readIndex(node).then(
        () => {
          if (!process.alive) return;
          const before = machine.read(key);
          const index = machine.currentIndex;
          world.guard(() => checkReadIndex(member.id, known, index));
          const leads = member.subject?.raft.role === 'leader';
          settle(() => {
            world.coverage.mark(leads ? 'read on a leader' : 'read on a follower');
            this.#seen.set(key, before);
            this.#history.done(operation, { before, succeeded: false, index });
          });
        },
        () => settle(() => this.#history.refused(operation)),
      );
    });
  }

  #readIndex(node: RaftNode): Promise<unknown> {
    return node.readIndex();
  }

  /** @returns the receiver of the answer; the first of answer and timeout counts */
  #withTimeout(operation: Operation, then: () => void): (answer: () => void) => void {
    const world = this.#world;
    let settled = false;
    const finish = (answer: () => void) => {
      if (settled) return;
      settled = true;
      timer.cancelled = true;
      answer();
      world.note('client', this.id, operation.outcome, operation.kind, operation.index);
      then();
    };
    const timer = world.clock.after(world.clientTimeoutMs * 1000, () =>
      finish(() => {
        world.coverage.mark('client timed out');
        if (operation.kind === OpKind.Read) this.#history.refused(operation);
      }),
    );
    return finish;
  }

  #failed(operation: Operation, error: Error): void {
    const { coverage } = this.#world;
    const refused =
      error instanceof NotLeaderError ||
      error instanceof ProposalDroppedError ||
      error instanceof ProposalTooLargeError ||
      error instanceof OverloadedError ||
      error instanceof QuorumLostError;
    if (refused) {
      coverage.mark('proposal refused');
      this.#history.refused(operation);
      return;
    }
    coverage.mark('proposal unknown');
    operation.outcome = Outcome.Unknown;
  }
}

/** More than a client writes in a run. */
export const VALUES_PER_CLIENT = 1_000_000;
