import type { MemberId, MemberInfo } from '../../src/core/types.js';
import type { LeadershipState } from '../../src/host/leadership.js';
import type { RaftLimits, RaftNodeOptions } from '../../src/host/options.js';
import { RaftNode } from '../../src/host/raft-node.js';
import { ListStateMachine, type SavedList } from './list-state-machine.js';
import { TestNetwork, type TestTransport } from './memory-network.js';
import { TestDisk, TestStorage } from './memory-storage.js';
import { Prng, VirtualClock } from '@swarm/sim';

/** One member: what survives a crash, and what runs while it is up. */
export interface Host {
  readonly id: MemberId;
  readonly disk: TestDisk;
  readonly saved: SavedList;
  /** Every announcement, over all its runs. */
  readonly announced: LeadershipState[];
  node: RaftNode | undefined;
  state: ListStateMachine;
  transport: TestTransport;
  storage: TestStorage;
  fatal: unknown;
}

/** How members read. */
export type ReadOptions = Pick<RaftNodeOptions, 'readMode' | 'maxClockDriftPpm'>;

export function memberInfo(id: MemberId): MemberInfo {
  return { id, address: `198.18.0.${id}:2377`, nodeId: `node${id}` };
}

export function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** A cluster of real nodes on a virtual clock, network and disk. */
export class TestCluster {
  readonly clock = new VirtualClock();
  readonly network = new TestNetwork(this.clock);
  readonly hosts = new Map<MemberId, Host>();
  private readonly random: () => number;
  private readonly limits: Partial<RaftLimits>;
  private readonly reads: ReadOptions;

  constructor(seed: number, limits: Partial<RaftLimits> = {}, reads: ReadOptions = {}) {
    this.random = new Prng(seed, 'test').fraction;
    this.limits = limits;
    this.reads = reads;
  }

  /** Bootstraps a cluster of members 1 to `size`. */
  static async bootstrap(
    size: number,
    seed = 1,
    limits?: Partial<RaftLimits>,
    reads?: ReadOptions,
  ): Promise<TestCluster> {
    const cluster = new TestCluster(seed, limits, reads);
    const ids = Array.from({ length: size }, (_, i) => i + 1);
    const members = ids.map(memberInfo);
    for (const id of ids) await cluster.start(id, { members });
    return cluster;
  }

  host(id: MemberId): Host {
    const host = this.hosts.get(id);
    if (host === undefined) throw new Error(`no host ${id}`);
    return host;
  }

  node(id: MemberId): RaftNode {
    const { node } = this.host(id);
    if (node === undefined) throw new Error(`host ${id} is down`);
    return node;
  }

  /** Starts a member on its disk, which is empty the first time. */
  async start(
    id: MemberId,
    how: Pick<RaftNodeOptions, 'members' | 'seeds' | 'returns'> & ReadOptions = {},
  ): Promise<RaftNode> {
    const before = this.hosts.get(id);
    const disk = before?.disk ?? new TestDisk();
    const saved = before?.saved ?? { index: 0, items: [] };
    const state = new ListStateMachine(saved);
    const storage = new TestStorage(disk, this.clock);
    const transport = this.network.attach(id);
    const announced = before?.announced ?? [];
    const host: Host = {
      id,
      disk,
      saved,
      state,
      storage,
      transport,
      announced,
      node: undefined,
      fatal: undefined,
    };
    this.hosts.set(id, host);
    const opening = RaftNode.open({
      id,
      ...this.reads,
      ...how,
      storage,
      transport,
      stateMachine: state,
      clock: this.clock,
      random: this.random,
      limits: this.limits,
      onFatal: (error) => {
        host.fatal = error;
      },
    });
    let failed: unknown;
    opening.then(
      (node) => {
        host.node = node;
        node.onLeadership((change) => announced.push(change));
      },
      (error: unknown) => {
        failed = error;
      },
    );
    await this.clock.until(() => host.node !== undefined || failed !== undefined, 'start');
    return opening;
  }

  /** Kills the process: it loses what is not on disk. */
  async kill(id: MemberId): Promise<void> {
    const host = this.host(id);
    host.storage.crash();
    await host.node?.stop();
    host.node = undefined;
  }

  isolate(id: MemberId): void {
    this.network.isolate(id, [...this.hosts.keys()]);
  }

  /** The member that has announced its leadership in the highest term. */
  leader(): Host | undefined {
    let leader: Host | undefined;
    for (const host of this.hosts.values()) {
      const status = host.node?.status();
      if (status?.role !== 'leader' || host.announced.at(-1)?.isLeader !== true) continue;
      if (status.term > (leader?.node?.status().term ?? 0)) leader = host;
    }
    return leader;
  }

  async waitLeader(except: MemberId = 0): Promise<Host> {
    const found = () => {
      const leader = this.leader();
      return leader !== undefined && leader.id !== except ? leader : undefined;
    };
    await this.clock.until(() => found() !== undefined, 'a leader');
    return found()!;
  }

  /** Lets time pass until a promise settles. */
  async finish<T>(promise: Promise<T>, limitMs = 120_000): Promise<T> {
    let settled = false;
    const mark = () => {
      settled = true;
    };
    promise.then(mark, mark);
    await this.clock.until(() => settled, 'a promise', limitMs);
    return promise;
  }

  async propose(text: string): Promise<{ index: number; result: unknown }> {
    const leader = await this.waitLeader();
    return this.finish(leader.node!.propose(bytes(text)));
  }

  /** Waits until every running member has applied exactly these. */
  async waitItems(items: readonly string[]): Promise<void> {
    const wanted = JSON.stringify(items);
    const up = () => [...this.hosts.values()].filter(({ node }) => node !== undefined);
    await this.clock.until(
      () => up().every(({ state }) => JSON.stringify(state.items) === wanted),
      `all members hold ${wanted.slice(0, 100)}`,
    );
  }

  async stop(): Promise<void> {
    for (const { id, node } of this.hosts.values()) if (node !== undefined) await this.kill(id);
  }
}
