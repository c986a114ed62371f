import { readdir, rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { until } from '@swarm/sim';
import { Host } from './host.js';
import { importTestImage } from './image.js';
import { addBridge, addHost, namespacesOf, removeNamespace, setCable } from './network.js';
import {
  type HostRole,
  type HostState,
  type LabRuntime,
  type LabState,
  labsFolder,
  loadState,
  saveState,
} from './state.js';
import { removeTaskFiles } from './task-files.js';

export interface LabOptions {
  /** Tells labs on one machine apart: 1 to 12 of `a-z0-9-`. */
  readonly name: string;
  readonly managers: number;
  readonly workers: number;
  /** Hosts outside the cluster, on the same wire. */
  readonly clients?: number;
  readonly runtime?: LabRuntime;
  /** Start the daemons without forming a cluster. */
  readonly bare?: boolean;
  /** The `swarm` program of every host; see `buildProgram`. */
  readonly program?: string;
  /** Additional arguments for each `swarm daemon`. */
  readonly daemonArgs?: readonly string[];
}

const HOSTS_LIMIT = 100;
/** Last address byte of the first host of each role; the /24 is 198.18.0.0. */
const FIRST_ADDRESS: Readonly<Record<HostRole, number>> = { manager: 11, worker: 51, client: 201 };
const PREFIX: Readonly<Record<HostRole, string>> = { manager: 'm', worker: 'w', client: 'c' };
const API_PORT = 2377;

/**
 * A cluster of test hosts on this machine: namespaces on a bridge without uplink. Stored on disk, so that the
 * process that made it may end; `down` removes everything, even of a lab that only half came up.
 */
export class Lab {
  readonly state: LabState;
  readonly hosts: readonly Host[];
  readonly #daemonArgs: readonly string[];

  private constructor(state: LabState, daemonArgs: readonly string[] = []) {
    this.state = state;
    this.hosts = state.hosts.map((host) => new Host(state.name, state.runtime, host));
    this.#daemonArgs = daemonArgs;
  }

  /** Makes the hosts, starts the daemons and forms the cluster. Leaves nothing on failure. */
  static async up(options: LabOptions): Promise<Lab> {
    if (process.getuid?.() !== 0)
      throw new Error('the lab makes network namespaces: run it as root');
    if (!/^[a-z0-9][a-z0-9-]{0,11}$/.test(options.name)) {
      throw new Error(`bad lab name '${options.name}': 1 to 12 of a-z, 0-9 and -`);
    }
    if (options.managers + options.workers + (options.clients ?? 0) > HOSTS_LIMIT) {
      throw new Error(`too many hosts: at most ${HOSTS_LIMIT}`);
    }
    if ((await loadState(options.name)) !== undefined) {
      throw new Error(`lab '${options.name}' exists: take it down first, or choose another name`);
    }
    // Namespaces are global on the machine: another folder may hold a lab of this name.
    const taken = await namespacesOf(options.name);
    if (taken.length > 0) {
      throw new Error(`a lab '${options.name}' of another folder is up: ${taken.join(', ')} exist`);
    }
    const folder = join(labsFolder(), options.name);
    const runtime = options.runtime ?? 'process';
    const hosts: HostState[] = [];
    const add = (role: HostRole, count: number) => {
      for (let i = 1; i <= count; i++) {
        const name = `${PREFIX[role]}${i}`;
        const home = join(folder, name);
        hosts.push({
          name,
          role,
          address: `198.18.0.${FIRST_ADDRESS[role] + i - 1}`,
          namespace: `swl-${options.name}-${name}`,
          folder: home,
          socket: join(home, 'swarm.sock'),
          ...(runtime === 'docker' && role !== 'client'
            ? { engineSocket: join(home, 'docker.sock') }
            : {}),
          ...(options.program === undefined ? {} : { program: options.program }),
          cut: false,
        });
      }
    };
    add('manager', options.managers);
    add('worker', options.workers);
    add('client', options.clients ?? 0);
    const state: LabState = {
      name: options.name,
      folder,
      runtime,
      bridge: `swl-${options.name}-br`,
      hosts,
    };
    const lab = new Lab(state, options.daemonArgs);
    await saveState(state);
    try {
      await lab.#build(options.bare === true);
    } catch (error) {
      await lab.down();
      throw error;
    }
    return lab;
  }

  /** Opens a lab that is already up. */
  static async open(name: string): Promise<Lab> {
    const state = await loadState(name);
    if (state === undefined) throw new Error(`no lab '${name}'`);
    return new Lab(state);
  }

  host(name: string): Host {
    const host = this.hosts.find((each) => each.name === name);
    if (host === undefined) {
      throw new Error(
        `no host '${name}' in this lab: it has ${this.hosts.map((each) => each.name).join(', ')}`,
      );
    }
    return host;
  }

  get managers(): Host[] {
    return this.hosts.filter((host) => host.state.role === 'manager');
  }

  get workers(): Host[] {
    return this.hosts.filter((host) => host.state.role === 'worker');
  }

  get clients(): Host[] {
    return this.hosts.filter((host) => host.state.role === 'client');
  }

  /** Managers and workers. */
  get nodes(): Host[] {
    return [...this.managers, ...this.workers];
  }

  async kill(name: string): Promise<void> {
    await this.host(name).kill();
    await saveState(this.state);
  }

  async start(name: string): Promise<void> {
    const host = this.host(name);
    await host.boot();
    await host.startDaemons({ extraArgs: this.#daemonArgs });
    await saveState(this.state);
  }

  async cut(name: string): Promise<void> {
    const host = this.host(name);
    await setCable(this.state.bridge, host.name, false);
    host.state.cut = true;
    await saveState(this.state);
  }

  async heal(name: string): Promise<void> {
    const host = this.host(name);
    await setCable(this.state.bridge, host.name, true);
    host.state.cut = false;
    await saveState(this.state);
  }

  /** Forms one cluster: the first manager inits, everyone else joins. */
  async form(): Promise<void> {
    const [first, ...others] = this.managers;
    if (first === undefined) return;
    await first.must(['swarm', 'init', '--advertise-addr', first.address]);
    const token = async (role: string) =>
      (await first.must(['swarm', 'join-token', '-q', role])).trim();
    const remote = `${first.address}:${API_PORT}`;
    const join = (host: Host, joinToken: string) =>
      host.must(['swarm', 'join', '--advertise-addr', host.address, '--token', joinToken, remote]);
    if (others.length > 0) {
      const managerToken = await token('manager');
      for (const host of others) await join(host, managerToken);
    }
    const workerToken = await token('worker');
    await Promise.all(this.workers.map((host) => join(host, workerToken)));
    await until('all nodes are ready', async () => {
      const nodes = (await first.api('GET', '/nodes')).json as { Status: { State: string } }[];
      return (
        nodes.length === this.nodes.length && nodes.every((node) => node.Status.State === 'ready')
      );
    });
  }

  /** Removes everything: processes, namespaces, cgroups, files. Safe at any point, any number of times. */
  async down(): Promise<void> {
    const failures: unknown[] = [];
    const attempt = async (work: () => Promise<unknown>) => {
      try {
        await work();
      } catch (error) {
        failures.push(error);
      }
    };
    for (const host of this.hosts) await attempt(() => host.kill());
    for (const host of this.hosts) await attempt(() => removeNamespace(host.state.namespace));
    await attempt(() => removeNamespace(this.state.bridge));
    for (const host of this.hosts) await attempt(() => removeCgroups(host.cgroupParent));
    await attempt(() => removeTaskFiles(this.state.name));
    await attempt(() => rm(this.state.folder, { recursive: true, force: true, maxRetries: 5 }));
    if (failures.length > 0)
      throw new AggregateError(failures, `lab '${this.state.name}' was not removed completely`);
  }

  async #build(bare: boolean): Promise<void> {
    await addBridge(this.state.bridge);
    for (const host of this.hosts) {
      await addHost(this.state.bridge, host.state.namespace, host.name, host.address);
      await host.boot();
      await saveState(this.state);
    }
    await Promise.all(this.hosts.map((host) => host.startDaemons({ extraArgs: this.#daemonArgs })));
    await saveState(this.state);
    if (this.state.runtime === 'docker') await importTestImage(this.nodes, this.state.folder);
    if (!bare) await this.form();
  }
}

/** Removes a cgroup by name from every hierarchy, deepest first; all its processes are dead. */
async function removeCgroups(name: string): Promise<void> {
  const root = '/sys/fs/cgroup';
  const hierarchies = [
    '',
    ...(await readdir(root, { withFileTypes: true }))
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name),
  ];
  for (const hierarchy of hierarchies) {
    const top = join(root, hierarchy, name);
    const folders = await readdir(top, { withFileTypes: true, recursive: true }).catch(
      () => undefined,
    );
    if (folders === undefined) continue;
    const paths = folders
      .filter((entry) => entry.isDirectory())
      .map((entry) => join(entry.parentPath ?? entry.path, entry.name));
    for (const path of [...paths.sort().reverse(), top]) {
      await until(
        `cgroup ${path} is gone`,
        async () => {
          await rmdir(path);
          return true;
        },
        { deadlineMs: 5000, everyMs: 20 },
      );
    }
  }
}
