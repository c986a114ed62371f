import { get } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { HONEST_PORT, type HostileCluster } from './cluster.js';
import type { Problems } from './problems.js';

const PAUSE_MS = 40;
const TIMEOUT_MS = 5_000;

/** Users of the honest service, with a new connection each time, to all nodes in turn. None may fail. */
export class HonestTraffic {
  readonly #cluster: HostileCluster;
  readonly #problems: Problems;
  #isStopped = false;
  #work: Promise<void> | undefined;
  requests = 0;
  slowestMs = 0;

  constructor(cluster: HostileCluster, problems: Problems) {
    this.#cluster = cluster;
    this.#problems = problems;
  }

  start(): void {
    this.#work = this.#run();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#work;
  }

  async #run(): Promise<void> {
    const addresses = [...this.#cluster.managers, this.#cluster.worker].map(
      ({ address }) => address,
    );
    while (!this.#isStopped) {
      const address = addresses[this.requests % addresses.length]!;
      this.requests += 1;
      const start = performance.now();
      await ask(address).catch((error: unknown) =>
        this.#problems.add(`the honest service failed on ${address}: ${(error as Error).message}`),
      );
      this.slowestMs = Math.max(this.slowestMs, performance.now() - start);
      await delay(PAUSE_MS);
    }
  }
}

function ask(host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const call = get({ host, port: HONEST_PORT, agent: false, timeout: TIMEOUT_MS }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
      response.on('error', reject);
      response.on('end', () => {
        if (response.statusCode === 200) resolve();
        else reject(new Error(`status ${response.statusCode}: ${text.slice(0, 200)}`));
      });
    });
    call.on('timeout', () => call.destroy(new Error('no answer in time')));
    call.on('error', reject);
  });
}
