import { setTimeout as delay } from 'node:timers/promises';
import type { Node, Task } from '@swarm/api';
import type { Cluster } from '../lab/index.js';
import type { Member, Moment } from './judge.js';

const LOOK_EVERY_MS = 150;
const LOOK_LIMIT_MS = 2_000;

/** Writes down which tasks serve, as the store says. */
export class StoreHistory {
  readonly moments: Moment[] = [];
  readonly #cluster: Cluster;
  readonly #services: ReadonlyMap<string, string>;
  #looks = true;

  /** @param services names by id */
  constructor(cluster: Cluster, services: ReadonlyMap<string, string>) {
    this.#cluster = cluster;
    this.#services = services;
  }

  async watch(): Promise<void> {
    while (this.#looks) {
      await this.#look().catch(() => {
        // No leader at the moment: what was last seen holds.
      });
      await delay(LOOK_EVERY_MS);
    }
  }

  stop(): void {
    this.#looks = false;
  }

  async #look(): Promise<void> {
    const { manager } = this.#cluster;
    const ask = async <T>(path: string): Promise<T> => {
      const reply = await manager.api('GET', path, undefined, { timeoutMs: LOOK_LIMIT_MS });
      if (reply.status !== 200) throw new Error(reply.text);
      return reply.json as T;
    };
    const [tasks, nodes] = await Promise.all([ask<Task[]>('/tasks'), ask<Node[]>('/nodes')]);
    const ready = new Map(
      nodes
        .filter(({ Status }) => Status.State === 'ready')
        .map(({ ID, Description }) => [ID, Description?.Hostname ?? '']),
    );
    const serving: Record<string, Member[]> = {};
    for (const task of tasks) {
      const service = this.#services.get(task.ServiceID ?? '');
      const node = ready.get(task.NodeID ?? '');
      if (service === undefined || node === undefined || !serves(task)) continue;
      serving[service] ??= [];
      for (const address of addressesOf(task)) serving[service].push({ address, node });
    }
    for (const members of Object.values(serving))
      members.sort((a, b) => a.address.localeCompare(b.address));
    this.moments.push({ at: Date.now(), serving });
  }
}

function serves({ DesiredState, Status }: Task): boolean {
  return DesiredState === 'running' && Status.State === 'running' && Status.Ready !== false;
}

function addressesOf(task: Task): string[] {
  return (task.NetworksAttachments ?? []).flatMap(({ Addresses }) =>
    Addresses.map((text) => text.split('/')[0]!),
  );
}
