import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createKeyRequest } from '@swarm/identity';
import { Aftermath } from './aftermath.js';
import type { AttackerStart } from './attacker-protocol.js';
import { forbiddenChanges } from './changes.js';
import { BAIT_SERVICE, HostileCluster } from './cluster.js';
import { Counts } from './counts.js';
import { type Credential, type IdentityName, isOfCluster } from './credential.js';
import type { Facts } from './facts.js';
import { HonestClient } from './honest-client.js';
import { HonestLogs } from './honest-logs.js';
import { HonestTraffic } from './honest-traffic.js';
import { Identities } from './identities.js';
import { Problems } from './problems.js';
import type { HostileReport, Progress } from './report.js';
import { Siege } from './siege.js';
import { Stalls } from './stalls.js';
import { type State, stateOf } from './state.js';
import { Watch } from './watch.js';

const REQUESTS = 20;
/** Below 2^31, and short to type. */
export const SEED_LIMIT = 1_000_000;

export interface HostileOptions {
  /** Of each seed. */
  readonly messages: number;
  /** Longest run. */
  readonly seconds: number;
  /** Seeds of attacks that run one after the other on the same cluster. */
  readonly seeds: readonly number[];
  /** Connections of each seed to run, first and last. Default: from 1 until there are enough messages. */
  readonly connections?: readonly [number, number];
  readonly identity?: IdentityName;
  /** Goes on after a problem. Default: stops at the first. */
  readonly keepGoing?: boolean;
  /** Ends the run early but cleanly. */
  readonly signal: AbortSignal;
  readonly onProgress?: (progress: Progress) => void;
  readonly onProblem?: (text: string) => void;
}

/**
 * Attacks a real cluster as nodes with every kind of certificate: see docs/hostile.md. Leaves nothing
 * behind.
 */
export async function hostile(options: HostileOptions): Promise<HostileReport> {
  const folder = await mkdtemp(join(tmpdir(), 'swarm-hostile-'));
  const run = new Run(options, folder);
  try {
    return await run.run();
  } finally {
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

class Run {
  readonly #options: HostileOptions;
  readonly #folder: string;
  readonly #startMs = performance.now();
  readonly #problems: Problems;
  readonly #stalls = new Stalls();
  readonly #cluster: HostileCluster;
  readonly #watch: Watch;
  readonly #traffic: HonestTraffic;
  readonly #logs: HonestLogs;
  readonly #counts = new Counts();
  #client: HonestClient | undefined;
  #siege: Siege | undefined;
  #sent = { messages: 0, connections: 0 };
  #recent: readonly string[] = [];
  readonly #leaderless: string[] = [];

  constructor(options: HostileOptions, folder: string) {
    this.#options = options;
    this.#folder = folder;
    this.#problems = new Problems((text) => options.onProblem?.(text));
    this.#cluster = new HostileCluster(folder, (daemon, how) => {
      const recent = this.#recent.map((each) => `\n    ${each}`).join('');
      this.#problems.add(`${daemon.name} ended (${how}); connections around then:${recent}`);
    });
    this.#watch = new Watch(this.#cluster, this.#problems, this.#stalls);
    this.#traffic = new HonestTraffic(this.#cluster, this.#problems);
    this.#logs = new HonestLogs(this.#cluster, this.#problems, this.#stalls);
  }

  async run(): Promise<HostileReport> {
    const onExit = () => this.#leaveNothing();
    process.once('exit', onExit);
    try {
      await this.#run();
    } catch (error) {
      if (!this.#options.signal.aborted)
        this.#problems.add(`the run broke off: ${(error as Error).stack}`);
    } finally {
      this.#stalls.stop();
      await this.#siege?.kill();
      await this.#client?.stop();
      await this.#traffic.stop();
      this.#logs.stop();
      await this.#cluster.down();
      process.off('exit', onExit);
    }
    return this.#report();
  }

  async #run(): Promise<void> {
    const cluster = this.#cluster;
    const canary = `canary-${randomBytes(16).toString('hex')}`;
    await cluster.up();
    await cluster.createServices(canary);
    const [leader] = cluster.managers;
    const seen = await stateOf(leader!, 'identities');
    const [object] = seen.of('cluster');
    const credentials = await new Identities(cluster).make(object!);
    this.#options.signal.throwIfAborted();
    const own = new Set(
      credentials.filter(({ name }) => isOfCluster(name)).map(({ nodeId }) => nodeId!),
    );
    const facts = await this.#facts(seen, credentials);
    const before = await stateOf(leader!, 'before');
    const { Worker, Manager } = object!.JoinTokens;
    const { connections: [first, last] = [1], identity, messages } = this.#options;
    const start = {
      facts,
      credentials,
      // The first line identifies the CA's key.
      secrets: [canary, secretOf(Worker), secretOf(Manager), object!.Private.CAKey.split('\n')[1]!],
      requests: await Promise.all(
        Array.from({ length: REQUESTS }, async () => (await createKeyRequest()).csr),
      ),
      ...{ first, messages },
      ...(last === undefined ? {} : { last }),
      ...(identity === undefined ? {} : { identity }),
    };
    this.#client = new HonestClient(cluster, this.#problems, this.#stalls, facts.nodes);
    await this.#watch.start();
    this.#client.start();
    this.#traffic.start();
    this.#logs.start();
    for (const seed of this.#options.seeds) await this.#attack({ ...start, seed });
    await this.#client.stop();
    await this.#traffic.stop();
    this.#logs.stop();
    await this.#watch.stop(this.#sent.messages);
    if (this.#watch.measured.elections === 0)
      for (const problem of this.#leaderless) this.#problems.add(problem);
    if (!this.#isOver) await this.#look(before, own);
  }

  get #isOver(): boolean {
    const { signal, keepGoing = false } = this.#options;
    // When a daemon is down, the other checks would only report that.
    const isBroken = this.#cluster.daemons.some((daemon) => !daemon.up);
    return signal.aborted || isBroken || (!keepGoing && this.#problems.all.length > 0);
  }

  /** Runs an attacker until it is done, there is a problem, or time is up. */
  async #attack(start: AttackerStart): Promise<void> {
    if (this.#isOver) return;
    const { messages, connections } = this.#sent;
    const endMs = performance.now() + this.#options.seconds * 1_000;
    this.#siege = new Siege({
      start,
      hoards: this.#options.connections === undefined,
      isOver: () => this.#isOver || performance.now() >= endMs,
      onNews: (news) => {
        this.#recent = news.recent;
        this.#sent = {
          messages: messages + news.messages,
          connections: connections + news.connections,
        };
        this.#counts.merge(news.counts);
        for (const problem of news.problems)
          this.#heard(`seed ${start.seed}: an attacker ${problem}`);
        this.#options.onProgress?.(this.#progress());
      },
    });
    await this.#siege.run();
    await this.#siege.kill();
  }

  /** A moment without a leader comes from an election, which `Watch` judges. */
  #heard(problem: string): void {
    if (problem.includes('NO_QUORUM')) this.#leaderless.push(problem);
    else this.#problems.add(problem);
  }

  /** Checks the cluster after the attack. */
  async #look(before: State, own: ReadonlySet<string>): Promise<void> {
    const aftermath = new Aftermath(this.#cluster);
    await aftermath.settle();
    const { state, wrong } = await aftermath.states();
    for (const each of [
      ...wrong,
      ...forbiddenChanges(before, state, own),
      ...(await aftermath.indexes(state)),
      ...(await aftermath.restores(state)),
      ...(await aftermath.expels(own)),
      ...(await aftermath.files()),
    ])
      this.#problems.add(each);
  }

  async #facts(state: State, credentials: readonly Credential[]): Promise<Facts> {
    const cluster = this.#cluster;
    const { members } = await cluster.raftStatus(cluster.managers[0]!);
    const service = state.of('service').find(({ Spec }) => Spec.Name === BAIT_SERVICE)!;
    return {
      clusterId: state.of('cluster')[0]!.ID,
      managers: cluster.managers.map(({ address }) => {
        const member = members.find(({ info }) => info.address.startsWith(`${address}:`))!.info;
        return { nodeId: member.nodeId, raftId: member.id, address: member.address };
      }),
      nodes: state.of('node').map(({ ID }) => ID),
      services: state.of('service').map(({ ID }) => ID),
      tasks: state
        .of('task')
        .filter(({ ServiceID }) => ServiceID !== service.ID)
        .map(({ ID }) => ID),
      networks: state.of('network').map(({ ID }) => ID),
      addresses: Object.fromEntries([
        ...state.of('node').map(({ ID, Status }) => [ID, Status.Addr]),
        ...credentials
          .filter(({ name }) => isOfCluster(name))
          .map(({ nodeId, from }) => [nodeId, from]),
      ]),
    };
  }

  /** Cleans up when this process ends early, by an error or a test's time limit. */
  #leaveNothing(): void {
    for (const daemon of this.#cluster.daemons) daemon.killNow();
    this.#siege?.killNow();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #progress(): Progress {
    return {
      seconds: (performance.now() - this.#startMs) / 1_000,
      ...this.#sent,
      measured: this.#watch.measured,
    };
  }

  #report(): HostileReport {
    const client = this.#client;
    return {
      ...this.#progress(),
      seeds: this.#options.seeds,
      counts: this.#counts,
      honest: {
        rounds: client?.rounds ?? 0,
        requests: this.#traffic.requests,
        lines: this.#logs.lines,
        slowestWriteMs: client?.slowestMs ?? 0,
        slowestRequestMs: this.#traffic.slowestMs,
      },
      stalledMs: this.#stalls.lostMs,
      isInterrupted: this.#options.signal.aborted,
      problems: this.#problems.all,
      problemCounts: this.#problems.counts,
    };
  }
}

/** The secret part of a token; the rest is a digest of what everybody may know. */
function secretOf(token: string): string {
  return token.slice(token.lastIndexOf('-') + 1);
}
