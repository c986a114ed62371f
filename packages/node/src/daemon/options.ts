import {
  defaultDataRoot,
  defaultSocket,
  labelNameProblem,
  labelValueProblem,
  type MeshBackendName,
  parseIpAddress,
  UsageError,
} from '@swarm/api';
import type { GivenAddresses } from '../membership/address-origins.js';

export type RuntimeChoice = 'auto' | 'docker' | 'process';
export type MeshChoice = 'auto' | MeshBackendName;

export const DEFAULT_ENGINE_SOCKET = '/var/run/docker.sock';

/** How a daemon runs; everything else is in its data root or in the cluster. */
export interface DaemonOptions {
  readonly dataRoot: string;
  readonly socket: string;
  readonly runtime: RuntimeChoice;
  readonly mesh: MeshChoice;
  /** Docker Engine's socket. */
  readonly engineSocket: string;
  /** Parent cgroup for tasks of the process runtime, below each hierarchy's root. */
  readonly cgroupParent: string;
  readonly logLevel: 'debug' | 'info' | 'warn' | 'error';
  readonly logFormat: 'pretty' | 'json';
  readonly nodeLabels: Readonly<Record<string, string>>;
  /** Addresses that the userspace mesh listens on. */
  readonly meshBind: readonly string[];
  /** The node's addresses, where they are given; they take the place of those that it has. */
  readonly addresses: GivenAddresses;
}

/**
 * Flags of `swarm daemon` as given, by name and without dashes; flags that are not given are absent. A flag
 * that may be repeated is a list.
 */
export type DaemonFlags = Readonly<Record<string, string | readonly string[] | undefined>>;

/** @throws UsageError that names the flag */
export function daemonOptions(
  flags: DaemonFlags,
  env: NodeJS.ProcessEnv,
  uid: number,
): DaemonOptions {
  const given = new GivenFlags(flags);
  const options = {
    dataRoot: given.text('data-root') ?? defaultDataRoot(env, uid),
    socket: given.text('socket') ?? defaultSocket(env, uid).socketPath,
    runtime: given.oneOf('runtime', ['auto', 'docker', 'process'], 'auto'),
    mesh: given.oneOf('mesh', ['auto', 'nftables', 'ipvs', 'userspace'], 'auto'),
    engineSocket: engineSocket(given.text('engine')),
    cgroupParent: cgroupName(given.text('cgroup-parent')),
    logLevel: given.oneOf('log-level', ['debug', 'info', 'warn', 'error'], 'info'),
    logFormat: given.oneOf('log-format', ['pretty', 'json'], 'pretty'),
    nodeLabels: Object.fromEntries(given.list('label').map(labelOf)),
    meshBind: given.list('mesh-bind').map(bindAddress),
    addresses: {
      listenAddr: given.text('listen-addr') ?? '',
      advertiseAddr: given.text('advertise-addr') ?? '',
      dataPathAddr: given.text('data-path-addr') ?? '',
    },
  };
  given.checkAllTaken();
  return options;
}

/** Takes flags one by one. A flag that is left over is unknown to this daemon. */
class GivenFlags {
  readonly #left: Map<string, string | readonly string[]>;

  constructor(flags: DaemonFlags) {
    const given = Object.entries(flags).filter(([, value]) => value !== undefined);
    this.#left = new Map(given as [string, string | readonly string[]][]);
  }

  text(name: string): string | undefined {
    const value = this.#take(name);
    if (value === '') throw new UsageError(`flag needs an argument: --${name}`);
    if (value === undefined || typeof value === 'string') return value;
    throw new UsageError(`--${name} can be given only once`);
  }

  list(name: string): readonly string[] {
    const value = this.#take(name);
    return typeof value === 'string' ? [value] : (value ?? []);
  }

  oneOf<const T extends string>(name: string, allowed: readonly T[], unsaid: T): T {
    const value = this.text(name);
    if (value === undefined) return unsaid;
    const found = allowed.find((each) => each === value);
    if (found !== undefined) return found;
    throw new UsageError(`invalid argument '${value}' for --${name}: use ${allowed.join(', ')}`);
  }

  /** @throws UsageError */
  checkAllTaken(): void {
    const [name] = this.#left.keys();
    if (name !== undefined) throw new UsageError(`unknown flag: --${name}`);
  }

  #take(name: string): string | readonly string[] | undefined {
    const value = this.#left.get(name);
    this.#left.delete(name);
    return value;
  }
}

function engineSocket(text = `unix://${DEFAULT_ENGINE_SOCKET}`): string {
  if (!text.startsWith('unix://'))
    throw new UsageError(`invalid argument '${text}' for --engine: use unix://PATH`);
  return text.slice('unix://'.length);
}

function labelOf(item: string): readonly [string, string] {
  const at = item.indexOf('=');
  if (at <= 0) throw new UsageError(`invalid argument '${item}' for --label: use key=value`);
  const [name, value] = [item.slice(0, at), item.slice(at + 1)];
  const problem = labelNameProblem(name) ?? labelValueProblem(value);
  if (problem !== undefined)
    throw new UsageError(`invalid argument '${item}' for --label: ${problem}`);
  return [name, value];
}

function bindAddress(text: string): string {
  if (parseIpAddress(text) === undefined)
    throw new UsageError(
      `invalid argument '${text}' for --mesh-bind: use an IP address of this host`,
    );
  return text;
}

function cgroupName(text = 'swarm'): string {
  if (!/^[\w.-]+$/.test(text))
    throw new UsageError(
      `invalid argument '${text}' for --cgroup-parent: use letters, digits, '.', '_' and '-'`,
    );
  return text;
}
