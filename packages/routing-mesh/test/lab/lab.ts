import { type ChildProcess, execFileSync, fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Orders } from './protocol.js';

/** Those of daemons: they decide how much memory a process holds. */
const NODE_FLAGS = ['--max-semi-space-size=4'];

/** The system's programs come first: npm's program folders, first under npx, have another `nft`. */
const SYSTEM_PATH = '/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin';
const AGENT = fileURLToPath(new URL('./agent.js', import.meta.url));

/** Of hosts, followed by the last part of their IPv4 address: the range for benchmarks (RFC 5180). */
export const LAB_IPV6 = '2001:2::';

/** A process inside a namespace. Each order is a method; failures keep message and code. */
export type AgentOf<O> = {
  [K in keyof O]: O[K] extends (...args: infer A) => infer R
    ? (...args: A) => Promise<Awaited<R>>
    : never;
} & { readonly child: ChildProcess; stop(): Promise<void> };
export type Agent = AgentOf<Orders>;

/** A namespace of the lab. */
export interface Host {
  readonly netns: string;
  readonly path: string;
  readonly agent: Agent;
}

/**
 * Hosts as network namespaces, joined by a bridge in a namespace of its own without uplink: no packet can
 * leave. `close` takes everything away; so does the end of the process.
 */
export class MeshLab {
  readonly #prefix: string;
  readonly #namespaces = new Set<string>();
  readonly #children = new Set<ChildProcess>();
  readonly #onExit = (): void => this.#removeAll();
  #switch: string | undefined;
  /** The switch's end of each host's cable. */
  readonly #ports = new Map<string, string>();
  #links = 0;

  constructor(name: string) {
    this.#prefix = `rm${name}${process.pid}`;
    process.on('exit', this.#onExit);
  }

  /** A namespace with loopback only, without a process; that of this process when not root. */
  loopback(): { readonly netns: string; readonly path: string } {
    if (process.geteuid?.() !== 0) return { netns: '', path: '/proc/self/ns/net' };
    const netns = this.#addNamespace('loopback');
    this.sh(netns, 'ip link set lo up');
    return { netns, path: `/run/netns/${netns}` };
  }

  /** A host on the bridge. */
  async host(name: string, address: string): Promise<Host> {
    if (this.#switch === undefined) {
      this.#switch = this.#addNamespace('switch');
      this.sh(this.#switch, 'sysctl -qw net.bridge.bridge-nf-call-iptables=0 || true');
      this.sh(this.#switch, 'ip link add br0 type bridge && ip link set br0 up');
    }
    const netns = this.#addNamespace(name);
    const port = `p${this.#links++}`;
    this.#ports.set(netns, port);
    this.sh(
      this.#switch,
      `ip link add ${port} type veth peer name eth0 netns ${netns} && ip link set ${port} master br0 up`,
    );
    this.sh(netns, `ip link set lo up; ip addr add ${address}/24 dev eth0; ip link set eth0 up`);
    const last = address.slice(address.lastIndexOf('.') + 1);
    this.sh(netns, `ip -6 addr add ${LAB_IPV6}${last}/64 dev eth0 nodad`);
    // Otherwise refusals of UDP beyond six in a row to one client are silent, and tests wait for one.
    this.sh(netns, 'sysctl -qw net.ipv4.icmp_ratelimit=0 net.ipv6.icmp.ratelimit=0');
    return { netns, path: `/run/netns/${netns}`, agent: await this.agent(netns) };
  }

  /** Gives a host another interface on the bridge. */
  addCable(netns: string, device: string, address: string): void {
    const port = `p${this.#links++}`;
    this.sh(
      this.#switch!,
      `ip link add ${port} type veth peer name ${device} netns ${netns} && ip link set ${port} master br0 up`,
    );
    this.sh(netns, `ip addr add ${address}/24 dev ${device}; ip link set ${device} up`);
  }

  /** Lets the switch drop larger packets to and from a host, without a word. */
  setCableMtu(netns: string, mtuBytes: number): void {
    this.sh(this.#switch!, `ip link set ${this.#ports.get(netns)!} mtu ${mtuBytes}`);
  }

  /** An empty namespace for a task, with a process inside. */
  async task(name: string): Promise<Host> {
    const netns = this.#addNamespace(name);
    return { netns, path: `/run/netns/${netns}`, agent: await this.agent(netns) };
  }

  /** An empty namespace without a process. */
  emptyNamespace(name: string): string {
    return `/run/netns/${this.#addNamespace(name)}`;
  }

  /** Another process inside a namespace; the namespace is that of this process when it is empty. */
  agent(netns: string): Promise<Agent> {
    return this.program<Orders>(netns, AGENT);
  }

  /** As `agent`, with another program that takes orders. */
  async program<O>(netns: string, script: string): Promise<AgentOf<O>> {
    const inside = netns === '' ? [] : [`--net=/run/netns/${netns}`];
    const child = fork(script, [], {
      execPath: netns === '' ? process.execPath : 'nsenter',
      execArgv: netns === '' ? NODE_FLAGS : [...inside, process.execPath, ...NODE_FLAGS],
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    this.#children.add(child);
    child.on('exit', () => this.#children.delete(child));
    await once(child, 'message');
    return makeAgent<O>(child);
  }

  /** Runs a shell line inside a namespace; throws with what it printed. */
  sh(netns: string, line: string): string {
    return execFileSync('nsenter', [`--net=/run/netns/${netns}`, 'sh', '-ec', line], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, PATH: `${SYSTEM_PATH}:${process.env.PATH ?? ''}` },
    });
  }

  /** Ends what runs in a host's namespace, and removes that. */
  async release({ netns, agent }: Host): Promise<void> {
    await agent.stop();
    execFileSync('ip', ['netns', 'del', netns]);
    this.#namespaces.delete(netns);
  }

  async close(): Promise<void> {
    process.off('exit', this.#onExit);
    await Promise.all(
      [...this.#children].map(async (child) => {
        child.kill('SIGKILL');
        await once(child, 'exit');
      }),
    );
    this.#removeAll();
  }

  #addNamespace(name: string): string {
    const netns = this.#prefix + name;
    execFileSync('ip', ['netns', 'add', netns]);
    this.#namespaces.add(netns);
    return netns;
  }

  #removeAll(): void {
    for (const child of this.#children) child.kill('SIGKILL');
    for (const netns of this.#namespaces) execFileSync('ip', ['netns', 'del', netns]);
    this.#namespaces.clear();
  }
}

function makeAgent<O>(child: ChildProcess): AgentOf<O> {
  const waiting = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>();
  let nextId = 1;
  child.on(
    'message',
    (message: {
      id: number;
      value?: unknown;
      error?: { message: string; code?: string; stack?: string };
    }) => {
      const caller = waiting.get(message.id);
      waiting.delete(message.id);
      if (message.error === undefined) caller?.resolve(message.value);
      else caller?.reject(Object.assign(new Error(message.error.message), message.error));
    },
  );
  child.on('exit', () => {
    for (const { reject } of waiting.values()) reject(new Error('the process inside ended'));
  });
  const own = {
    child,
    async stop(): Promise<void> {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill('SIGKILL');
      await once(child, 'exit');
    },
  };
  return new Proxy(own as unknown as AgentOf<O>, {
    get(target, order: string) {
      if (order in target || order === 'then') return target[order as 'child'];
      return (...args: unknown[]) =>
        new Promise((resolve, reject) => {
          const id = nextId++;
          waiting.set(id, { resolve, reject });
          child.send({ id, order, args });
        });
    },
  });
}

/** Why lab tests cannot run here; undefined when they can. */
export function labProblem(): string | undefined {
  if (process.geteuid?.() !== 0) return 'it needs root';
  for (const tool of ['ip', 'nft', 'nsenter', 'bridge', 'conntrack']) {
    try {
      execFileSync('sh', ['-c', `command -v ${tool}`], { stdio: 'ignore' });
    } catch {
      return `the command "${tool}" is missing`;
    }
  }
  return readFileSync('/proc/sys/kernel/ostype', 'utf8').trim() === 'Linux'
    ? undefined
    : 'no Linux';
}
