import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Node, Service, Task } from '@swarm/api';
import type { RaftStatus } from '@swarm/raft';
import { until } from '../lab/index.js';
import { Daemon } from './daemon.js';

const MANAGERS = 3;
/** The published port of the service whose users must not notice the attack. */
export const HONEST_PORT = 26_480;
export const HONEST_SERVICE = 'honest';
/** A service that runs on the attacker's nodes, so that they have tasks. */
export const BAIT_SERVICE = 'bait';
export const BAIT_LABEL = 'bait';
/** The line that the honest service logs. */
export const TICK = 'tick';
const WEB_SERVER =
  `setInterval(()=>console.log('${TICK}'),1000);` +
  "require('http').createServer((q,s)=>s.end(process.env.TASK)).listen(process.env.PORT??80,process.env.HOST??'0.0.0.0')";
const CALL_LIMIT_MS = 10_000;

/** Three managers and a worker, each its own daemon, with services on them. */
export class HostileCluster {
  readonly folder: string;
  readonly managers: readonly Daemon[];
  readonly worker: Daemon;
  /** Started temporarily, or after the attack. */
  readonly others: Daemon[] = [];
  readonly #onEnd: (daemon: Daemon, how: string) => void;

  constructor(folder: string, onEnd: (daemon: Daemon, how: string) => void) {
    this.folder = folder;
    this.#onEnd = onEnd;
    this.managers = Array.from({ length: MANAGERS }, (_, i) =>
      this.#daemon(`m${i + 1}`, 'manager', 11 + i),
    );
    this.worker = this.#daemon('w1', 'worker', 51);
  }

  get daemons(): Daemon[] {
    return [...this.managers, this.worker, ...this.others];
  }

  /** A loopback address that no other run uses. */
  address(last: number): string {
    // Process ids are below 2^22; concurrent runs do not differ by a multiple of 2^14.
    return `127.${64 + ((process.pid >> 8) & 63)}.${process.pid & 255}.${last}`;
  }

  async up(): Promise<void> {
    await Promise.all([...this.managers, this.worker].map((daemon) => this.#start(daemon)));
    const [first, ...rest] = this.managers as [Daemon, ...Daemon[]];
    await first.must(['swarm', 'init', ...listenFlags(first)]);
    for (const daemon of rest) await this.join(daemon, 'manager');
    await this.join(this.worker, 'worker');
    await until('all nodes are ready', async () => {
      const nodes = await this.get<Node[]>('/nodes');
      return nodes.length === MANAGERS + 1 && nodes.every(({ Status }) => Status.State === 'ready');
    });
  }

  /** Starts one more daemon. */
  async extra(name: string, role: 'manager' | 'worker', last: number): Promise<Daemon> {
    const daemon = this.#daemon(name, role, last);
    this.others.push(daemon);
    await this.#start(daemon);
    return daemon;
  }

  async join(daemon: Daemon, role: 'manager' | 'worker'): Promise<void> {
    const [first] = this.managers as [Daemon];
    const token = await this.token(role);
    await daemon.must([
      'swarm',
      'join',
      ...listenFlags(daemon),
      '--token',
      token,
      `${first.address}:2377`,
    ]);
  }

  async token(role: 'manager' | 'worker'): Promise<string> {
    return (await this.managers[0]!.must(['swarm', 'join-token', '-q', role])).trim();
  }

  /**
   * Creates the services that run throughout. @param canary a text that only managers and honest nodes may
   * know
   */
  async createServices(canary: string): Promise<void> {
    const [first] = this.managers as [Daemon];
    const web = ['host', process.execPath, '-e', WEB_SERVER];
    await first.must([
      ...['swarm', 'service', 'create', '-d', '--name', HONEST_SERVICE, '--replicas', '2'],
      ...['--constraint', `node.labels.${BAIT_LABEL}!=yes`],
      ...[
        '--env',
        `CANARY=${canary}`,
        '--env',
        'TASK={{.Task.ID}}',
        '--publish',
        `${HONEST_PORT}:80`,
        ...web,
      ],
    ]);
    await first.must([
      ...['swarm', 'service', 'create', '-d', '--name', BAIT_SERVICE, '--mode', 'global'],
      ...['--constraint', `node.labels.${BAIT_LABEL}==yes`, '--restart-delay', '1s'],
      ...['--publish', `${HONEST_PORT + 1}:80`, ...web],
    ]);
    await until('the honest service runs', async () => {
      const tasks = await this.tasks(HONEST_SERVICE);
      return (
        tasks.filter(({ Status }) => Status.State === 'running' && Status.Ready !== false)
          .length === 2
      );
    });
  }

  async tasks(service: string): Promise<Task[]> {
    const filters = encodeURIComponent(JSON.stringify({ service: [service] }));
    return this.get<Task[]>(`/tasks?filters=${filters}`);
  }

  services(): Promise<Service[]> {
    return this.get<Service[]>('/services');
  }

  /** Reads from a manager over its local socket. */
  async get<T>(path: string, daemon: Daemon = this.managers[0]!): Promise<T> {
    const reply = await daemon.api('GET', path, undefined, { timeoutMs: CALL_LIMIT_MS });
    if (reply.status !== 200)
      throw new Error(`GET ${path} on ${daemon.name}: ${reply.status} ${reply.text}`);
    return reply.json as T;
  }

  async post(path: string, body: unknown, daemon: Daemon = this.managers[0]!): Promise<unknown> {
    const reply = await daemon.api('POST', path, body, { timeoutMs: CALL_LIMIT_MS });
    if (reply.status >= 300)
      throw new Error(`POST ${path} on ${daemon.name}: ${reply.status} ${reply.text}`);
    return reply.json;
  }

  async remove(path: string): Promise<void> {
    const reply = await this.managers[0]!.api('DELETE', path, undefined, {
      timeoutMs: CALL_LIMIT_MS,
    });
    if (reply.status >= 300) throw new Error(`DELETE ${path}: ${reply.status} ${reply.text}`);
  }

  raftStatus(daemon: Daemon): Promise<RaftStatus & { clusterId: string }> {
    return this.get('/x/raft/status', daemon);
  }

  async down(): Promise<void> {
    for (const daemon of this.daemons) await daemon.kill();
  }

  async #start(daemon: Daemon): Promise<void> {
    await mkdir(daemon.state.folder, { recursive: true });
    await daemon.startDaemons();
  }

  #daemon(name: string, role: 'manager' | 'worker', last: number): Daemon {
    const folder = join(this.folder, name);
    return new Daemon({ name, role, folder, address: this.address(last), onEnd: this.#onEnd });
  }
}

function listenFlags({ address }: Daemon): string[] {
  return ['--listen-addr', `${address}:2377`, '--advertise-addr', address];
}
