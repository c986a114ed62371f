import { appendFile, readFile, writeFile } from 'node:fs/promises';
import { type Clock, type Logger, OWNER_LABEL } from '@swarm/api';
import { RuntimeError } from '../runtime-error.js';
import type { Sandbox, SandboxSpec } from '../sandbox.js';
import { namesDns, namesResolvConf } from '../task-names.js';
import type { EngineClient } from './engine-client.js';
import { hasStatus } from './engine-error.js';
import { defaultNetwork } from './engine-networks.js';
import type { ContainerSummary } from './engine-types.js';
import { nameOf } from './owner.js';
import { netnsOf, SandboxContainers } from './sandbox-containers.js';
import { SpareSandboxes } from './spare-sandboxes.js';

const NAME_PREFIX = 'swarm-sandbox-';
const HOSTNAME_LENGTH = 12;

export interface SandboxesOptions {
  readonly engine: EngineClient;
  readonly owner: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly random: () => number;
}

/**
 * Sandboxes with an engine: a container without any of the engine's networks, which holds the network
 * namespace that tasks' containers join. Its name says whose it is. Renaming turns a spare into a sandbox, so
 * after a crash at any point each container is one or the other.
 *
 * A sandbox that is attached to nothing and has one task needs no container: the task's own container holds
 * its network, as in Docker Swarm.
 */
export class Sandboxes {
  readonly #engine: EngineClient;
  readonly #containers: SandboxContainers;
  readonly #spares: SpareSandboxes;
  /** Container ids by sandbox id; undefined for a sandbox that needs no container. */
  readonly #standing = new Map<string, string | undefined>();

  constructor(options: SandboxesOptions) {
    const { engine, owner, clock, logger, random } = options;
    this.#engine = engine;
    this.#containers = new SandboxContainers({ engine, labels: { [OWNER_LABEL]: owner }, clock });
    this.#spares = new SpareSandboxes({ containers: this.#containers, clock, logger, random });
  }

  get ids(): readonly string[] {
    return [...this.#standing.keys()];
  }

  /** The container that tasks of the sandbox join; undefined if it needs none. */
  containerOf(id: string): string | undefined {
    return this.#standing.get(id);
  }

  /**
   * The container that another task of the sandbox joins; undefined if the task's own holds the network.
   * @param isEmpty whether no other task is in it
   * @throws RuntimeError when the sandbox does not exist, or belongs to another task alone
   */
  joinable(id: string, isEmpty: boolean): string | undefined {
    if (!this.#standing.has(id)) {
      throw new RuntimeError('failed', `The sandbox ${id} does not exist: create it first.`);
    }
    const container = this.#standing.get(id);
    if (container === undefined && !isEmpty) {
      throw new RuntimeError(
        'failed',
        `The sandbox ${id} was created for one task: create it as shared.`,
      );
    }
    return container;
  }

  /** Takes over what an earlier run left: a sandbox, or a spare. */
  async adopt(container: ContainerSummary): Promise<void> {
    const name = nameOf(container);
    if (!name.startsWith(NAME_PREFIX)) await this.#spares.adopt(container);
    else this.#standing.set(name.slice(NAME_PREFIX.length), container.Id);
  }

  /** Takes over a sandbox without a container, through a task that is in it. */
  adoptBare(id: string): void {
    if (!this.#standing.has(id)) this.#standing.set(id, undefined);
  }

  /** Makes a sandbox; returns the existing one if there is one. */
  async create(spec: SandboxSpec, signal: AbortSignal): Promise<Sandbox> {
    const standing = await this.#look(spec.id, signal);
    if (standing !== undefined) return standing;
    const isAttached = spec.addresses.length > 0;
    if (!isAttached && !spec.shared) {
      this.#standing.set(spec.id, undefined);
      return { id: spec.id };
    }
    return this.#spares.during(async () => {
      const own = isAttached ? await this.#fromSpare(spec, signal) : undefined;
      return own ?? this.#make(spec, signal);
    });
  }

  /** Removes a sandbox, including a half-made one. */
  async remove(id: string): Promise<void> {
    const needsNone = this.#standing.has(id) && this.#standing.get(id) === undefined;
    if (!needsNone) await this.#containers.remove(NAME_PREFIX + id);
    this.#standing.delete(id);
  }

  /** Without tasks there should be no spares. */
  async dropSpares(): Promise<void> {
    await this.#spares.drop();
  }

  /** Lets go of the sandboxes, which the next run adopts. */
  async close(): Promise<void> {
    await this.#spares.close();
    this.#containers.close();
  }

  async #look(id: string, signal: AbortSignal): Promise<Sandbox | undefined> {
    if (!this.#standing.has(id)) return undefined;
    const containerId = this.#standing.get(id);
    if (containerId === undefined) return { id };
    try {
      const details = await this.#containers.look(containerId, signal);
      if (details.State.Status === 'running') return { id, netns: await netnsOf(details) };
    } catch (error) {
      if (!hasStatus(error, 404)) throw error;
    }
    // Its network is gone, too.
    await this.remove(id);
    return undefined;
  }

  async #fromSpare(spec: SandboxSpec, signal: AbortSignal): Promise<Sandbox | undefined> {
    const isPlain =
      spec.hostname === undefined &&
      spec.dns === undefined &&
      Object.keys(spec.sysctls).length === 0;
    if (!isPlain) return undefined;
    return this.#spares.take(async (spare) => {
      const lines = spec.addresses.map((address) => [address, spare.Config.Hostname]);
      const text = [...lines, ...spec.hosts].map((line) => `${line.join('\t')}\n`).join('');
      await readFile(spare.HostsPath); // Works only if the engine keeps its files on this host.
      await appendFile(spare.HostsPath, text);
      // Written in place: the container has this very file mounted.
      if (spec.hasNames === true)
        await writeFile(spare.ResolvConfPath, namesResolvConf(spec.dns), { flag: 'r+' });
      await this.#containers.rename(spare.Id, NAME_PREFIX + spec.id, signal);
      const netns = await netnsOf(spare);
      this.#standing.set(spec.id, spare.Id);
      return { id: spec.id, netns };
    }, signal);
  }

  async #make(spec: SandboxSpec, signal: AbortSignal): Promise<Sandbox> {
    const hostname = spec.hostname ?? spec.id.slice(0, HOSTNAME_LENGTH);
    const lines = [...spec.addresses.map((address) => [address, hostname]), ...spec.hosts];
    const containerId = await this.#containers.make(
      {
        name: NAME_PREFIX + spec.id,
        hostname,
        networkMode:
          spec.addresses.length > 0
            ? 'none'
            : (spec.network ?? (await defaultNetwork(this.#engine, signal))),
        hostConfig: {
          ExtraHosts: lines.flatMap(([address, ...names]) =>
            names.map((name) => `${name}:${address}`),
          ),
          Sysctls: spec.sysctls,
          ...(spec.hasNames === true ? namesDns(spec.dns) : spec.dns),
        },
      },
      signal,
    );
    this.#standing.set(spec.id, containerId);
    const netns = await netnsOf(await this.#containers.look(containerId, signal));
    return { id: spec.id, netns };
  }
}
