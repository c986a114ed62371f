import { isDeepStrictEqual } from 'node:util';
import { createReadStream } from 'node:fs';
import { request } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { isTerminal, type Node, type Service, systemClock, type Task } from '@swarm/api';
import { copyFolder, inspectManager } from '@swarm/manager/recovery';
import { join } from 'node:path';
import { until } from '../lab/index.js';
import { PROBE_PREFIX } from './changes.js';
import { BAIT_SERVICE, type HostileCluster } from './cluster.js';
import type { Daemon } from './daemon.js';
import { brokenInvariants } from './invariants.js';
import { type State, stateOf, takeBackup } from './state.js';

const SETTLE_LIMIT_MS = 30_000;
const RESTORE_PLACE = 71;
const HONEST_NODES = 4;

/** Checks the cluster after the attack. */
export class Aftermath {
  readonly #cluster: HostileCluster;

  constructor(cluster: HostileCluster) {
    this.#cluster = cluster;
  }

  /** Removes what the honest client left, and waits until the rest is settled. */
  async settle(): Promise<void> {
    const cluster = this.#cluster;
    const probes = async () =>
      (await cluster.services()).filter(({ Spec }) => Spec.Name.startsWith(PROBE_PREFIX));
    for (const { ID } of await probes()) await cluster.remove(`/services/${ID}`).catch(() => {});
    await until(
      'the honest client’s services are gone',
      async () => (await probes()).length === 0,
      {
        deadlineMs: SETTLE_LIMIT_MS,
      },
    );
  }

  /** Reads the states of all managers at one index, which must be equal. */
  async states(): Promise<{ readonly state: State; readonly wrong: readonly string[] }> {
    const { managers } = this.#cluster;
    const all = await until(
      'all managers have applied the same entries',
      async () => {
        const states = await Promise.all(managers.map((daemon) => stateOf(daemon, 'after')));
        const isEven = states.every(({ index }) => index === states[0]!.index);
        return isEven && !isPending(states[0]!) ? states : undefined;
      },
      { deadlineMs: SETTLE_LIMIT_MS },
    );
    const [first, ...others] = all as [State, ...State[]];
    const wrong = others.flatMap((other, i) =>
      isDeepStrictEqual(other.objects, first.objects)
        ? []
        : [`the state of ${managers[i + 1]!.name} differs from that of ${managers[0]!.name}`],
    );
    return { state: first, wrong: [...wrong, ...brokenInvariants(first)] };
  }

  /** Checks that the indexes of every manager's API find exactly what exists. */
  async indexes(state: State): Promise<string[]> {
    const wrong: string[] = [];
    for (const daemon of this.#cluster.managers) {
      const get = <T>(path: string) => this.#cluster.get<T>(path, daemon);
      const compare = (what: string, found: readonly string[], expected: readonly string[]) => {
        if (!isDeepStrictEqual([...found].sort(), [...expected].sort()))
          wrong.push(`${daemon.name} finds ${found.length} ${what}, not ${expected.length}`);
      };
      const tasks = state.of('task');
      compare('tasks', idsOf(await get<Task[]>('/tasks')), idsOf(tasks));
      compare('nodes', idsOf(await get<Node[]>('/nodes')), idsOf(state.of('node')));
      compare('services', idsOf(await get<Service[]>('/services')), idsOf(state.of('service')));
      for (const { ID, Spec } of state.of('service')) {
        const found = await get<Task[]>(`/tasks?filters=${filter('service', ID)}`);
        compare(
          `tasks of service ${Spec.Name}`,
          idsOf(found),
          idsOf(tasks.filter(({ ServiceID }) => ServiceID === ID)),
        );
        if ((await get<Service>(`/services/${encodeURIComponent(Spec.Name)}`)).ID !== ID)
          wrong.push(`${daemon.name} finds another service as ${Spec.Name}`);
      }
      for (const { ID } of state.of('node')) {
        const found = await get<Task[]>(`/tasks?filters=${filter('node', ID)}`);
        compare(
          `tasks of node ${ID}`,
          idsOf(found),
          idsOf(tasks.filter(({ NodeID }) => NodeID === ID)),
        );
      }
    }
    return wrong;
  }

  /** Removes the attacker's nodes, as an operator would, with everything on them. @param own their ids */
  async expels(own: Iterable<string>): Promise<string[]> {
    const cluster = this.#cluster;
    const bait = (await cluster.services()).find(({ Spec }) => Spec.Name === BAIT_SERVICE)!;
    await cluster.remove(`/services/${bait.ID}`);
    for (const id of own) await cluster.remove(`/nodes/${id}?force=true`);
    const state = await until(
      'nothing is left of the attacker’s nodes and tasks',
      async () => {
        const now = await stateOf(cluster.managers[0]!, 'expelled');
        const nodes = now.of('node').length;
        const isGone = now.get('service', bait.ID) === undefined && nodes === HONEST_NODES;
        return isGone && !isPending(now) ? now : undefined;
      },
      { deadlineMs: SETTLE_LIMIT_MS },
    );
    return brokenInvariants(state);
  }

  /** Takes a backup and restores a cluster from it. */
  async restores(state: State): Promise<string[]> {
    const path = await takeBackup(this.#cluster.managers[0]!, 'restore');
    const daemon = await this.#cluster.extra('restored', 'manager', RESTORE_PLACE);
    const query = new URLSearchParams({
      listenAddr: `${daemon.address}:2377`,
      advertiseAddr: daemon.address,
    });
    await post(daemon, `/x/restore?${query}`, path);
    const nodes = await until('the restored cluster answers', () =>
      this.#cluster.get<Node[]>('/nodes', daemon),
    );
    const services = await this.#cluster.get<Service[]>('/services', daemon);
    const wrong: string[] = [];
    for (const { ID } of state.of('service'))
      if (!services.some((each) => each.ID === ID))
        wrong.push(`service ${ID} is not in what was restored`);
    for (const { ID } of state.of('node'))
      if (!nodes.some((each) => each.ID === ID))
        wrong.push(`node ${ID} is not in what was restored`);
    await daemon.kill();
    return wrong;
  }

  /** Checks that every daemon shuts down cleanly and leaves intact files. */
  async files(): Promise<string[]> {
    const wrong: string[] = [];
    for (const daemon of [this.#cluster.worker, ...this.#cluster.managers]) {
      const code = await daemon.stop();
      if (code !== '0') wrong.push(`${daemon.name} ended with ${code} when told to stop`);
    }
    for (const daemon of this.#cluster.managers) {
      const { problems } = await inspectManager(join(daemon.dataRoot, 'raft'), {
        clock: systemClock(),
        copyFolder,
      });
      wrong.push(...problems.map((problem) => `${daemon.name}: ${problem}`));
    }
    return wrong;
  }
}

/** Whether a service is being removed, which is no longer listed, or tasks of a removed node are not given up yet. */
function isPending(state: State): boolean {
  const nodes = new Set(state.of('node').map(({ ID }) => ID));
  const isLeft = ({ NodeID, Status }: Task) =>
    NodeID !== undefined &&
    !nodes.has(NodeID) &&
    Status.State !== 'orphaned' &&
    !isTerminal(Status.State);
  return (
    state.of('service').some(({ PendingDelete }) => PendingDelete === true) ||
    state.of('task').some(isLeft)
  );
}

function idsOf(objects: readonly { readonly ID: string }[]): string[] {
  return objects.map(({ ID }) => ID);
}

function filter(name: string, value: string): string {
  return encodeURIComponent(JSON.stringify({ [name]: [value] }));
}

async function post(daemon: Daemon, path: string, file: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const call = request(
      { socketPath: daemon.state.socket, path, method: 'POST', agent: false },
      (answer) => {
        let text = '';
        answer.setEncoding('utf8').on('data', (chunk: string) => {
          text += chunk;
        });
        answer.on('end', () =>
          answer.statusCode === 200
            ? resolve()
            : reject(new Error(`${path}: ${answer.statusCode} ${text}`)),
        );
      },
    );
    call.on('error', reject);
    pipeline(createReadStream(file), call).catch(reject);
  });
}
