import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { createKeyRequest } from '@swarm/manager';
import { Child } from '../bench/raft/child.js';
import { Aftermath } from './aftermath.js';
import type { AttackerNews, AttackerStart, HoardOrder } from './attacker-protocol.js';
import { forbiddenChanges } from './changes.js';
import { BAIT_SERVICE, HostileCluster } from './cluster.js';
import { Counts } from './counts.js';
import { type Credential, type IdentityName, isOfCluster } from './credential.js';
import type { Facts } from './facts.js';
import { HonestClient } from './honest-client.js';
import { HonestTraffic } from './honest-traffic.js';
import { Identities } from './identities.js';
import { Problems } from './problems.js';
import type { HostileReport, Progress } from './report.js';
import { Stalls } from './stalls.js';
import { type State, stateOf } from './state.js';
import { Watch } from './watch.js';

const PROGRAM = join(import.meta.dirname, 'attacker.js');
const REQUESTS = 20;
const POLL_MS = 100;
const HOARD: HoardOrder = { connections: 1_100, slowBodies: 80 };
const HOARD_MS = 4_000;
/** An attacker that does not come to its end has been left without an answer. */
const END_LIMIT_MS = 60_000;
/** Below 2^31, and short to type. */
export const SEED_LIMIT = 1_000_000;

export interface HostileOptions {
  readonly messages: number;
  /** At most so long. */
  readonly seconds: number;
  readonly seed: number;
  /** Connections of the seed to run, first and last. Default: from 1 until there are enough messages. */
  readonly connections?: readonly [number, number];
  readonly identity?: IdentityName;
  /** Goes on after a problem. Default: ends at the first. */
  readonly keepGoing?: boolean;
  /** Ends the run early, in order. */
  readonly signal: AbortSignal;
  readonly onProgress?: (progress: Progress) => void;
  readonly onProblem?: (text: string) => void;
}

/** Attacks a real cluster as nodes with every kind of certificate would: see docs/hostile.md. Leaves nothing. */
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
  readonly #counts = new Counts();
  #client: HonestClient | undefined;
  #attacker: Child | undefined;
  #news: AttackerNews | undefined;
  #messages = 0;

  constructor(options: HostileOptions, folder: string) {
    this.#options = options;
    this.#folder = folder;
    this.#problems = new Problems((text) => options.onProblem?.(text));
    this.#cluster = new HostileCluster(folder, (daemon, how) => {
      const recent = (this.#news?.recent ?? []).map((each) => `\n    ${each}`).join('');
      this.#problems.add(`${daemon.name} ended (${how}); connections around then:${recent}`);
    });
    this.#watch = new Watch(this.#cluster, this.#problems, this.#stalls);
    this.#traffic = new HonestTraffic(this.#cluster, this.#problems);
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
      await this.#attacker?.kill();
      await this.#client?.stop();
      await this.#traffic.stop();
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
    const start: AttackerStart = {
      seed: this.#options.seed,
      facts,
      credentials,
      // The CA's key by its first line.
      secrets: [canary, secretOf(Worker), secretOf(Manager), object!.Private.CAKey.split('\n')[1]!],
      requests: await Promise.all(
        Array.from({ length: REQUESTS }, async () => (await createKeyRequest()).csr),
      ),
      first: this.#options.connections?.[0] ?? 1,
      ...(this.#options.connections === undefined ? {} : { last: this.#options.connections[1] }),
      messages: this.#options.messages,
      ...(this.#options.identity === undefined ? {} : { identity: this.#options.identity }),
    };
    this.#client = new HonestClient(cluster, this.#problems, this.#stalls, facts.nodes);
    await this.#watch.start();
    this.#client.start();
    this.#traffic.start();
    await this.#attack(start);
    await this.#client.stop();
    await this.#traffic.stop();
    await this.#watch.stop(this.#messages);
    if (!this.#isOver) await this.#look(before, own);
  }

  get #isOver(): boolean {
    const { signal, keepGoing = false } = this.#options;
    return signal.aborted || (!keepGoing && this.#problems.all.length > 0);
  }

  /** Runs the attacker until it has done what it should, or there is a problem, or no time. */
  async #attack(start: AttackerStart): Promise<void> {
    const attacker = new Child(PROGRAM, { onTold: (news) => this.#told(news as AttackerNews) });
    this.#attacker = attacker;
    await attacker.call('start', start);
    const endMs = performance.now() + this.#options.seconds * 1_000;
    let isHoarding = false;
    while (this.#news?.isDone !== true && !this.#isOver && performance.now() < endMs) {
      await delay(POLL_MS);
      // In the midst of it, once: connections that only wait.
      if (
        isHoarding ||
        this.#options.connections !== undefined ||
        this.#messages < start.messages / 2
      )
        continue;
      isHoarding = true;
      await this.#hoard(attacker);
    }
    await attacker.call('stop');
    const limit = performance.now() + END_LIMIT_MS;
    while (this.#news?.isDone !== true && performance.now() < limit) await delay(POLL_MS);
    if (this.#news?.isDone !== true) this.#problems.add('the attacker did not come to its end');
    await attacker.kill();
  }

  async #hoard(attacker: Child): Promise<void> {
    await attacker.call('hoard', HOARD);
    await delay(HOARD_MS);
    await attacker.call('release');
  }

  #told(news: AttackerNews): void {
    const before = this.#news;
    this.#news = news;
    this.#messages = news.messages;
    this.#counts.merge(news.counts);
    for (const problem of news.problems) this.#problems.add(`an attacker ${problem}`);
    if (before !== undefined) this.#options.onProgress?.(this.#progress());
  }

  /** After the attack: what is left of the cluster. */
  async #look(before: State, own: ReadonlySet<string>): Promise<void> {
    const aftermath = new Aftermath(this.#cluster);
    await aftermath.settle();
    const { state, wrong } = await aftermath.states();
    for (const each of [
      ...wrong,
      ...forbiddenChanges(before, state, own),
      ...(await aftermath.indexes(state)),
      ...(await aftermath.restores(state)),
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
      endpointAddresses: [
        ...cluster.daemons.map(({ address }) => address),
        ...credentials.map(({ from }) => from),
      ],
    };
  }

  /** When this process ends in the middle, by an error or a test's time limit. */
  #leaveNothing(): void {
    for (const daemon of this.#cluster.daemons) daemon.killNow();
    this.#attacker?.signal('SIGKILL');
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #progress(): Progress {
    return {
      seconds: (performance.now() - this.#startMs) / 1_000,
      messages: this.#messages,
      connections: this.#news?.connections ?? 0,
      measured: this.#watch.measured,
    };
  }

  #report(): HostileReport {
    const client = this.#client;
    return {
      ...this.#progress(),
      seed: this.#options.seed,
      counts: this.#counts,
      honest: {
        rounds: client?.rounds ?? 0,
        requests: this.#traffic.requests,
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

/** The part of a token that is no digest of what everybody may know. */
function secretOf(token: string): string {
  return token.slice(token.lastIndexOf('-') + 1);
}
