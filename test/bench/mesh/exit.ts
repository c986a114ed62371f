import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { Cluster, type Host, Lab, until } from '../../lab/index.js';
import { atMost, median } from '../report.js';
import type { Figures } from './traffic.js';

const ROUNDS = 7;
const TASKS = 500;
/** Requests for services that are under way at once. */
const PARALLEL = 32;
const FIRST_PORT = 10_000;

/**
 * Five nodes with real daemons: the time from a task's death to the last node whose kernel no longer leads to it, and
 * the memory of a node with many tasks.
 */
export async function measureExit(
  say: (text: string) => void,
  { services }: { readonly services: number },
): Promise<Figures> {
  const lab = await Lab.up({ name: 'benchx', managers: 3, workers: 2, clients: 0 });
  try {
    const cluster = new Cluster(lab);
    say(`${services} services with published ports`);
    await publishMany(cluster, services);
    const gone: number[] = [];
    await cluster.createWeb('web', { replicas: 4, publish: '8080:80' });
    await cluster.untilRunning('web', 4);
    const watchers = await Promise.all(lab.nodes.map((host) => ElementWatcher.start(host)));
    try {
      for (let round = 0; round < ROUNDS; round++) {
        say(`task exit, ${round + 1} of ${ROUNDS}`);
        await cluster.untilRunning('web', 4);
        // The endpoints of the last round have come back everywhere.
        await delay(1500);
        const [task] = await cluster.running('web');
        const pid = task?.Status.ContainerStatus?.PID;
        const host = cluster.hostOf((await cluster.nodes()).find(({ ID }) => ID === task?.NodeID)!);
        if (pid === undefined) throw new Error('the task has no process');
        for (const watcher of watchers) watcher.reset();
        const begin = performance.now();
        process.kill(pid, 'SIGKILL');
        await until(
          `nobody leads to the task on ${host.name}`,
          async () => watchers.every(({ deletedAt }) => deletedAt !== undefined),
          { everyMs: 20 },
        );
        gone.push(Math.max(...watchers.map(({ deletedAt }) => deletedAt! - begin)));
      }
    } finally {
      await Promise.all(watchers.map((watcher) => watcher.close()));
    }
    say(`${TASKS} tasks on one node`);
    const worker = lab.host('w1');
    const before = await residentMb(worker);
    await crowd(cluster, worker);
    await delay(10_000);
    const after = await residentMb(worker);
    return {
      goals: [
        atMost('task exit to gone on all 5 nodes, median', median(gone), 'ms', 100),
        atMost(`daemon with ${TASKS} tasks`, after, 'MB', 150),
      ],
      figures: [
        { name: 'task exit to gone on all 5 nodes, slowest', value: Math.max(...gone), unit: 'ms' },
        { name: 'services of the cluster meanwhile', value: services, unit: '' },
        { name: 'daemon of that node before', value: before, unit: 'MB' },
      ],
      notes: [],
    };
  } finally {
    await lab.down();
  }
}

/** Hears of every element that leaves a node's table, without asking. */
class ElementWatcher {
  deletedAt: number | undefined;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
    child.stdout!.setEncoding('utf8').on('data', (text: string) => {
      if (/delete element ip swarm_mesh endpoints/.test(text)) this.deletedAt ??= performance.now();
    });
  }

  static async start(host: Host): Promise<ElementWatcher> {
    const [program, ...args] = host.enter(['/usr/sbin/nft', 'monitor', 'elements']);
    const watcher = new ElementWatcher(
      spawn(program!, args, { stdio: ['ignore', 'pipe', 'ignore'] }),
    );
    await delay(300);
    return watcher;
  }

  reset(): void {
    this.deletedAt = undefined;
  }

  async close(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill('SIGKILL');
    await once(this.#child, 'exit');
  }
}

async function publishMany(cluster: Cluster, services: number): Promise<void> {
  let next = 0;
  const maker = async (): Promise<void> => {
    for (let i = next++; i < services; i = next++) {
      const reply = await cluster.manager.api('POST', '/services/create', {
        Name: `many${i}`,
        TaskTemplate: { ContainerSpec: { Image: 'host', Command: ['sleep', '1'] } },
        Mode: { Replicated: { Replicas: 0 } },
        EndpointSpec: {
          Ports: [{ Protocol: 'tcp', TargetPort: 80, PublishedPort: FIRST_PORT + i }],
        },
      });
      if (reply.status !== 201) throw new Error(`create: ${reply.status} ${reply.text}`);
    }
  };
  await Promise.all(Array.from({ length: PARALLEL }, maker));
}

async function crowd(cluster: Cluster, worker: Host): Promise<void> {
  const reply = await cluster.manager.api('POST', '/services/create', {
    Name: 'crowd',
    TaskTemplate: {
      ContainerSpec: { Image: 'host', Command: ['sleep', '100000'], StopGracePeriod: 1e9 },
      Placement: { Constraints: [`node.hostname==${worker.name}`] },
    },
    Mode: { Replicated: { Replicas: TASKS } },
    EndpointSpec: { Ports: [{ Protocol: 'tcp', TargetPort: 80, PublishedPort: 8090 }] },
  });
  if (reply.status !== 201) throw new Error(`create: ${reply.status} ${reply.text}`);
  await until(
    `${TASKS} tasks run`,
    async () =>
      (await cluster.tasks('crowd')).filter(({ Status }) => Status.State === 'running').length ===
      TASKS,
    { everyMs: 500, deadlineMs: 180_000 },
  );
}

async function residentMb(host: Host): Promise<number> {
  const status = await readFile(`/proc/${host.state.daemonPid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) / 1024;
}
