import { join } from 'node:path';
import type { Node, Service, Task } from '@swarm/api';
import { until } from '@swarm/sim';
import type { LoadResult } from '../tools/load-result.js';
import type { Host } from './host.js';
import { TEST_IMAGE } from './image.js';
import { start } from './command.js';
import type { Lab } from './lab.js';
import { LAB_ASSETS, REPOSITORY } from './paths.js';
import type { LabRuntime } from './state.js';
import { fileForTasks } from './task-files.js';

/** Compiled load generator, for `node`. */
export const LOAD_PROGRAM = join(REPOSITORY, 'test', 'dist', 'tools', 'load.js');

/** The hosts of a cluster: namespaces, or loopback addresses. */
export interface ClusterLab {
  readonly state: { readonly name: string; readonly runtime: LabRuntime };
  readonly managers: readonly Host[];
  /** Managers and workers. */
  readonly nodes: readonly Host[];
  host(name: string): Host;
}

/** Asks a cluster questions, and does to it what tests need. */
export class Cluster<L extends ClusterLab = Lab> {
  readonly lab: L;

  constructor(lab: L) {
    this.lab = lab;
  }

  /** A manager whose host is up and not cut off. */
  get manager(): Host {
    const host = this.lab.managers.find((each) => each.up && !each.state.cut);
    if (host === undefined) throw new Error('no manager is up');
    return host;
  }

  async get<T>(path: string, host: Host = this.manager): Promise<T> {
    const reply = await host.api('GET', path);
    if (reply.status !== 200)
      throw new Error(`GET ${path} on ${host.name}: ${reply.status} ${reply.text}`);
    return reply.json as T;
  }

  nodes(host?: Host): Promise<Node[]> {
    return this.get<Node[]>('/nodes', host);
  }

  service(name: string, host?: Host): Promise<Service> {
    return this.get<Service>(`/services/${name}`, host);
  }

  tasks(service: string, host?: Host): Promise<Task[]> {
    return this.get<Task[]>(
      `/tasks?filters=${encodeURIComponent(JSON.stringify({ service: [service] }))}`,
      host,
    );
  }

  /** Tasks that are running and get traffic. */
  async running(service: string, host?: Host): Promise<Task[]> {
    const tasks = await this.tasks(service, host);
    return tasks.filter(
      (task) =>
        task.DesiredState === 'running' &&
        task.Status.State === 'running' &&
        task.Status.Ready !== false,
    );
  }

  /** Host of the leader, as a living manager sees it. */
  async leader(): Promise<Host> {
    const nodes = await this.nodes();
    const leader = nodes.find((node) => node.ManagerStatus?.Leader === true);
    if (leader === undefined) throw new Error('no leader');
    return this.hostOf(leader);
  }

  hostOf(node: Node): Host {
    return this.lab.host(node.Description?.Hostname ?? '');
  }

  /** Starts a web service, with the command line or image for the lab's runtime. */
  async createWeb(
    name: string,
    options: { replicas: number; publish?: string; version?: string; extra?: readonly string[] },
  ): Promise<void> {
    const args = [
      'service',
      'create',
      '-d',
      '--name',
      name,
      '--replicas',
      String(options.replicas),
    ];
    args.push('--env', `VERSION=${options.version ?? '1'}`, '--env', 'TASK={{.Task.ID}}');
    if (options.publish !== undefined) args.push('--publish', options.publish);
    args.push(...(options.extra ?? []));
    if (this.lab.state.runtime === 'docker') args.push(TEST_IMAGE);
    else {
      const files = [process.execPath, join(LAB_ASSETS, 'web-server.js')];
      const { name: lab } = this.lab.state;
      args.push('host', ...(await Promise.all(files.map((file) => fileForTasks(lab, file)))));
    }
    await this.manager.must(['swarm', ...args]);
  }

  /** Path at which the web service answers. */
  get webPath(): string {
    return this.lab.state.runtime === 'docker' ? '/cgi-bin/who' : '/';
  }

  /** Waits until exactly this many tasks run and no other task of the service is meant to. */
  untilRunning(
    service: string,
    count: number,
    options: { deadlineMs?: number; host?: Host } = {},
  ): Promise<Task[]> {
    return until(
      `${count} tasks of ${service} run`,
      async () => {
        const running = await this.running(service, options.host ?? this.manager);
        return running.length === count ? running : undefined;
      },
      { deadlineMs: options.deadlineMs ?? 60_000, everyMs: 100 },
    );
  }

  /** Addresses of all nodes that are up. */
  get addresses(): string[] {
    return this.lab.nodes.filter((host) => host.up).map((host) => host.address);
  }

  /** Makes a number of requests from a host, each on a new connection, to all targets in turn. */
  async request(
    from: Host,
    options: {
      port: number;
      requests: number;
      targets?: readonly string[];
      concurrency?: number;
      timeoutMs?: number;
    },
  ): Promise<LoadResult> {
    const out = await from.must(
      [
        process.execPath,
        LOAD_PROGRAM,
        ...['--targets', (options.targets ?? this.addresses).join(',')],
        ...['--port', String(options.port), '--path', this.webPath],
        ...[
          '--requests',
          String(options.requests),
          '--concurrency',
          String(options.concurrency ?? 4),
        ],
        ...['--timeout-ms', String(options.timeoutMs ?? 10_000)],
      ],
      { timeoutMs: 120_000 },
    );
    return JSON.parse(out) as LoadResult;
  }

  /** Load until `stop`, which returns what it saw. @param from a host, or a place within one */
  load(
    from: Pick<Host, 'enter'>,
    options: {
      port: number;
      targets?: readonly string[];
      concurrency?: number;
      pauseMs?: number;
      timeoutMs?: number;
    },
  ): { stop(): Promise<LoadResult> } {
    const command = [
      process.execPath,
      LOAD_PROGRAM,
      ...['--targets', (options.targets ?? this.addresses).join(',')],
      ...['--port', String(options.port), '--path', this.webPath],
      ...[
        '--concurrency',
        String(options.concurrency ?? 4),
        '--pause-ms',
        String(options.pauseMs ?? 0),
      ],
      ...['--timeout-ms', String(options.timeoutMs ?? 10_000)],
    ];
    const child = start(from.enter(command), { stdio: ['pipe', 'pipe', 'inherit'] });
    let out = '';
    child.stdout!.setEncoding('utf8').on('data', (chunk: string) => {
      out += chunk;
    });
    const ended = new Promise<void>((resolve, reject) => {
      child.on('error', reject);
      child.on('close', () => resolve());
    });
    return {
      async stop() {
        child.stdin!.end();
        await ended;
        return JSON.parse(out) as LoadResult;
      },
    };
  }
}
