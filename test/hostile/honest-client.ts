import { setTimeout as delay } from 'node:timers/promises';
import type { Node, Service } from '@swarm/api';
import type { HostileCluster } from './cluster.js';
import type { Problems } from './problems.js';
import type { Stalls } from './stalls.js';

const WRITE_LIMIT_MS = 5_000;
const READ_LIMIT_MS = 2_000;
const RUN_LIMIT_MS = 30_000;
const PAUSE_MS = 300;
const POLL_MS = 100;

/** A client that uses the cluster during the attack. A step that takes too long is a problem. */
export class HonestClient {
  readonly #cluster: HostileCluster;
  readonly #problems: Problems;
  readonly #stalls: Stalls;
  readonly #honest: ReadonlySet<string>;
  #isStopped = false;
  #work: Promise<void> | undefined;
  rounds = 0;
  slowestMs = 0;

  /** @param honest ids of nodes that must stay ready */
  constructor(
    cluster: HostileCluster,
    problems: Problems,
    stalls: Stalls,
    honest: readonly string[],
  ) {
    this.#cluster = cluster;
    this.#problems = problems;
    this.#stalls = stalls;
    this.#honest = new Set(honest);
  }

  start(): void {
    this.#work = this.#run();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#work;
  }

  async #run(): Promise<void> {
    while (!this.#isStopped) {
      await this.#round().catch((error: unknown) =>
        this.#problems.add(`an honest client: ${(error as Error).message}`),
      );
      this.rounds += 1;
      await delay(PAUSE_MS);
    }
  }

  /** Creates, lists, scales, runs and removes a service, each step on another manager. */
  async #round(): Promise<void> {
    const cluster = this.#cluster;
    const name = `probe-${this.rounds}`;
    const via = (step: number) => cluster.managers[(this.rounds + step) % cluster.managers.length]!;
    const spec = {
      Name: name,
      TaskTemplate: {
        ContainerSpec: { Image: 'host', Command: ['sleep', '600'] },
        Placement: { Constraints: [`node.labels.bait!=yes`] },
      },
      Mode: { Replicated: { Replicas: 1 } },
    };
    const { ID } = (await this.#timed(WRITE_LIMIT_MS, 'create a service', () =>
      cluster.post('/services/create', spec, via(0)),
    )) as Service;
    await this.#timed(READ_LIMIT_MS, 'list services', async () => {
      const names = (await cluster.get<Service[]>('/services', via(1))).map(
        ({ Spec }) => Spec.Name,
      );
      if (!names.includes(name))
        throw new Error(`service ${name} is not listed after it was created`);
    });
    // As the command does, retries when the cluster itself has changed the service meanwhile.
    await this.#timed(WRITE_LIMIT_MS, 'scale a service', () =>
      via(2).must(['swarm', 'service', 'scale', '-d', `${name}=2`]),
    );
    await this.#timed(RUN_LIMIT_MS, 'run two tasks', async () => {
      while (!this.#isStopped) {
        const running = (await cluster.tasks(name)).filter(
          ({ Status }) => Status.State === 'running',
        );
        if (running.length === 2) return;
        await delay(POLL_MS);
      }
    });
    await this.#timed(READ_LIMIT_MS, 'list nodes', async () => {
      for (const { ID: id, Status, Description } of await cluster.get<Node[]>('/nodes', via(0)))
        if (this.#honest.has(id) && Status.State !== 'ready')
          throw new Error(`node ${Description?.Hostname} (${id}) is ${Status.State}`);
    });
    await this.#timed(WRITE_LIMIT_MS, 'remove a service', () => cluster.remove(`/services/${ID}`));
  }

  async #timed<T>(limitMs: number, what: string, job: () => Promise<T>): Promise<T> {
    const start = this.#stalls.now();
    try {
      return await job();
    } finally {
      const tookMs = this.#stalls.now() - start;
      if (limitMs !== RUN_LIMIT_MS) this.slowestMs = Math.max(this.slowestMs, tookMs);
      if (tookMs > limitMs * this.#stalls.slack)
        this.#problems.add(`an honest client: it took ${tookMs.toFixed(0)} ms to ${what}`);
    }
  }
}
