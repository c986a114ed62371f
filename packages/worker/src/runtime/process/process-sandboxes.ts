import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import {
  isLoopback,
  parseIpAddress,
  type PortConfig,
  portConfigShape,
  shortTaskId,
  shape,
  ShapeError,
} from '@swarm/api';
import type { Sandbox, SandboxSpec } from '../sandbox.js';
import { namesHosts, namesResolvConf } from '../task-names.js';
import type { NetNamespaces } from './net-namespaces.js';
import type { PortPool } from './port-pool.js';

/**
 * Where tasks without root listen while the node does not know its address. They share the host's network
 * and are told apart by their ports.
 */
const SHARED_ADDRESS = '127.0.0.1';
const RECORD_NAME = /^([A-Za-z0-9][A-Za-z0-9_-]*)\.json$/;

/** Ports for a sandbox that cannot have its own network. */
export interface OwnPorts {
  readonly address: string;
  /** As in the spec, but `TargetPort` is the port to listen on. */
  readonly ports: readonly PortConfig[];
  /** The spec's target ports, in the same order. */
  readonly wanted: readonly number[];
}

/** A sandbox as stored for the next run of the daemon. */
export interface SandboxRecord {
  readonly id: string;
  /** The boot it was made in; after another boot its namespaces are gone. */
  readonly bootId: string;
  /** Name of its network namespace; absent if it shares the host's network. */
  readonly netns?: string;
  /** Ports of the host that it was given, if it cannot have its own network. */
  readonly ownPorts?: OwnPorts;
  /** Files that its tasks have in place of the host's, by path; absent if the mesh does not answer them. */
  readonly files?: Readonly<Record<string, string>>;
}

const recordShape = shape.record<SandboxRecord>({
  id: shape.text(),
  bootId: shape.text(),
  netns: shape.optional(shape.text()),
  ownPorts: shape.optional(
    shape.record<OwnPorts>({
      address: shape.text(),
      ports: shape.list(portConfigShape),
      wanted: shape.list(shape.port),
    }),
  ),
  files: shape.optional(shape.map(shape.text())),
});

export interface ProcessSandboxesOptions {
  readonly folder: string;
  readonly namespaces: NetNamespaces;
  readonly ports: PortPool;
  /** Whether namespaces are available (root). */
  readonly privileged: boolean;
  readonly bootId: string;
}

/**
 * Sandboxes of plain processes. With root and a mesh in the kernel: a network namespace if the sandbox is
 * attached to a network, or an empty one for network none. Without: ports of the host's network. Each has a file,
 * which is written before anything is made and removed after everything is gone, so that nothing gets lost.
 */
export class ProcessSandboxes {
  readonly #options: ProcessSandboxesOptions;
  readonly #records = new Map<string, SandboxRecord>();

  constructor(options: ProcessSandboxesOptions) {
    this.#options = options;
  }

  get ids(): readonly string[] {
    return [...this.#records.keys()];
  }

  get(id: string): SandboxRecord | undefined {
    return this.#records.get(id);
  }

  /** Takes over what an earlier run left, and removes what a reboot or a crash made useless. */
  async adopt(): Promise<void> {
    const { folder, bootId } = this.#options;
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    for (const name of readdirSync(folder)) {
      const id = RECORD_NAME.exec(name)?.[1];
      const record = id === undefined ? undefined : readRecord(join(folder, name));
      if (record?.bootId === bootId && record.id === id) this.keep(record);
      else if (id !== undefined) await this.remove(id);
      else rmSync(join(folder, name), { force: true });
    }
  }

  /** Takes over a sandbox that exists. */
  keep(record: SandboxRecord): void {
    this.#records.set(record.id, record);
    for (const { TargetPort } of record.ownPorts?.ports ?? []) this.#options.ports.keep(TargetPort);
  }

  /** Makes a sandbox; completes one that exists. */
  async create(spec: SandboxSpec): Promise<Sandbox> {
    const known = this.#records.get(spec.id);
    const record = known ?? (await this.#plan(spec));
    try {
      if (known === undefined) {
        this.#write(record);
        this.#records.set(record.id, record);
      }
      if (record.netns !== undefined) {
        await this.#options.namespaces.add(record.netns);
        if (spec.network === 'none') await this.#options.namespaces.raiseLoopback(record.netns);
      }
    } catch (error) {
      if (known === undefined) await this.#giveUp(record);
      throw error;
    }
    return this.#sandbox(record);
  }

  /** Removes a sandbox, if there is one, and everything it held. */
  async remove(id: string): Promise<void> {
    const { namespaces, privileged } = this.#options;
    const record = this.#records.get(id);
    if (privileged) await namespaces.remove(record?.netns ?? netnsName(id));
    for (const { TargetPort } of record?.ownPorts?.ports ?? []) {
      this.#options.ports.release(TargetPort);
    }
    this.#records.delete(id);
    rmSync(this.#path(id), { force: true });
  }

  async #giveUp(record: SandboxRecord): Promise<void> {
    this.#records.set(record.id, record);
    await this.remove(record.id);
  }

  async #plan(spec: SandboxSpec): Promise<SandboxRecord> {
    const { privileged, bootId } = this.#options;
    const record = { id: spec.id, bootId };
    // The name becomes that of a file and a namespace.
    this.#options.namespaces.path(netnsName(spec.id));
    if (spec.network === 'host') return record;
    if (privileged && (spec.hasNoLinks !== true || spec.network === 'none')) {
      const isOwn = spec.addresses.length > 0 || spec.network === 'none';
      if (!isOwn) return record;
      const files = spec.hasNames === true ? { files: namesFiles(spec) } : {};
      return { ...record, netns: netnsName(spec.id), ...files };
    }
    return spec.ports.length === 0 ? record : { ...record, ownPorts: await this.#takePorts(spec) };
  }

  /** Takes one port of the host for each target port. */
  async #takePorts(spec: SandboxSpec): Promise<OwnPorts> {
    const chosen = new Map<number, number>();
    for (const { TargetPort } of spec.ports) {
      if (!chosen.has(TargetPort)) chosen.set(TargetPort, await this.#options.ports.take());
    }
    return {
      address: sharedAddress(spec.nodeAddress),
      ports: spec.ports.map((port) => ({ ...port, TargetPort: chosen.get(port.TargetPort)! })),
      wanted: spec.ports.map((port) => port.TargetPort),
    };
  }

  #sandbox({ id, netns, ownPorts }: SandboxRecord): Sandbox {
    return {
      id,
      ...(netns === undefined ? {} : { netns: this.#options.namespaces.path(netns) }),
      ...(ownPorts === undefined ? {} : { address: ownPorts.address, ports: ownPorts.ports }),
    };
  }

  #write(record: SandboxRecord): void {
    // Only a crash of the host could leave it half written, and that ends its boot as well.
    writeFileSync(this.#path(record.id), JSON.stringify(record), { mode: 0o600 });
  }

  #path(id: string): string {
    return join(this.#options.folder, `${id}.json`);
  }
}

function namesFiles({ id, addresses, hostname, dns }: SandboxSpec): Record<string, string> {
  return {
    '/etc/resolv.conf': namesResolvConf(dns),
    '/etc/hosts': namesHosts(addresses, hostname ?? shortTaskId({ ID: id })),
  };
}

function netnsName(sandboxId: string): string {
  return `swarm-${sandboxId}`;
}

/** Undefined if the file is damaged. */
function readRecord(path: string): SandboxRecord | undefined {
  try {
    return recordShape.read(JSON.parse(readFileSync(path, 'utf8')));
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof ShapeError) return undefined;
    throw error;
  }
}

/** The node's address, where other nodes look for its tasks, if this host has it. */
function sharedAddress(nodeAddress: string | undefined): string {
  const address = parseIpAddress(nodeAddress);
  if (address === undefined) return SHARED_ADDRESS;
  const isHere = Object.values(networkInterfaces()).some((list) =>
    list?.some((one) => parseIpAddress(one.address) === address),
  );
  return isHere || isLoopback(address) ? address : SHARED_ADDRESS;
}
