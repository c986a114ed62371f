import { type IpAddress, parseIpAddress, type Subnet } from '@swarm/api';
import { CommandError, type RunCommand } from '../kernel/command.js';
import { type Line, line, word, words } from '../kernel/words.js';
import {
  CATCH_METRIC,
  type LinkName,
  OVERLAY_TABLE,
  ROUTE_PROTOCOL,
  RULE_PREF_OVERLAY,
} from '../layout.js';
import type { Family } from '../table/family.js';

/** How packets to a member leave. */
export interface Way {
  readonly device: LinkName;
  /** Its node's address in the tunnel; absent where the device itself knows the node. */
  readonly gateway?: IpAddress;
}

interface RouteListing {
  readonly dst: string;
  readonly gateway?: string;
  readonly dev?: string;
}

/**
 * Routes to members of overlay networks on other nodes, of one family: a host route each, in a table of their own,
 * where nothing of others is and no listing of others has to read them. A rule leads there before the main table. In
 * the main table, a last route for each network's subnet answers that an address is nobody's, instead of the host's
 * default route leading it to the world.
 *
 * Invariant: `#held` and `#heldSubnets` are what the kernel has, unless `#isUnknown`.
 */
export class MemberRoutes {
  readonly #family: Family;
  readonly #run: RunCommand;
  readonly #wanted = new Map<IpAddress, Way>();
  /** Ways by address, as text. */
  #held = new Map<string, string>();
  /** Addresses whose route may differ from what is wanted. */
  #touched = new Set<string>();
  #subnets = new Set<string>();
  #heldSubnets = new Set<string>();
  #hasRule = false;
  #isUnknown = true;

  constructor(options: { family: Family; run: RunCommand }) {
    this.#family = options.family;
    this.#run = options.run;
  }

  /** Subnets that the kernel catches, also those of an earlier process. */
  get caught(): Iterable<string> {
    return this.#heldSubnets;
  }

  want(address: IpAddress, way: Way): void {
    this.#wanted.set(address, way);
    this.#touched.add(address);
  }

  unwant(address: IpAddress): void {
    this.#wanted.delete(address);
    this.#touched.add(address);
  }

  /** These subnets are caught, and no others. */
  wantSubnets(subnets: Iterable<Subnet>): void {
    this.#subnets = new Set([...subnets].map(String));
  }

  /** Looks at what the kernel has. */
  async look(): Promise<void> {
    const [routes, catches, rules] = await Promise.all([
      this.#list<RouteListing>(words`route show table ${OVERLAY_TABLE}`),
      this.#list<RouteListing>(words`route show table main proto ${ROUTE_PROTOCOL}`),
      this.#list<{ priority: number }>(words`rule show`),
    ]);
    this.#held = new Map(
      routes.map(({ dst, gateway, dev }) => [parseIpAddress(dst) ?? dst, textOf(gateway, dev)]),
    );
    this.#heldSubnets = new Set(
      catches.map(({ dst }) => (parseIpAddress(dst) === undefined ? dst : `${dst}/${this.#bits}`)),
    );
    this.#hasRule = rules.some(({ priority }) => priority === RULE_PREF_OVERLAY);
    this.#isUnknown = false;
    for (const address of this.#held.keys()) this.#touched.add(address);
    for (const address of this.#wanted.keys()) this.#touched.add(address);
  }

  /** Adds what is missing. */
  async add(): Promise<void> {
    if (this.#isUnknown) await this.look();
    const batch: Line[] = [];
    const isNeeded = this.#wanted.size > 0 || this.#subnets.size > 0;
    if (isNeeded && !this.#hasRule) {
      batch.push(line`rule add pref ${RULE_PREF_OVERLAY} lookup ${OVERLAY_TABLE}`);
    }
    for (const subnet of this.#subnets) {
      if (!this.#heldSubnets.has(subnet)) batch.push(line`route replace ${catchRoute(subnet)}`);
    }
    const added: [string, string][] = [];
    for (const address of this.#touched) {
      const way = this.#wanted.get(address as IpAddress);
      if (way === undefined) continue;
      const { device, gateway } = way;
      const text = textOf(gateway, device);
      if (this.#held.get(address) === text) continue;
      const path =
        gateway === undefined ? line`dev ${device}` : line`via ${gateway} dev ${device} onlink`;
      batch.push(line`route replace ${this.#alone(address)} ${path} table ${OVERLAY_TABLE}`);
      added.push([address, text]);
    }
    if (batch.length === 0) return;
    await this.#batch(batch);
    this.#hasRule ||= isNeeded;
    for (const subnet of this.#subnets) this.#heldSubnets.add(subnet);
    for (const [address, text] of added) this.#held.set(address, text);
  }

  /** Removes what is not wanted. */
  async prune(): Promise<void> {
    if (this.#isUnknown) return;
    const batch: Line[] = [];
    for (const address of this.#touched) {
      if (this.#wanted.has(address as IpAddress) || !this.#held.delete(address)) continue;
      batch.push(line`route del ${this.#alone(address)} table ${OVERLAY_TABLE}`);
    }
    this.#touched.clear();
    for (const subnet of this.#heldSubnets) {
      if (this.#subnets.has(subnet)) continue;
      this.#heldSubnets.delete(subnet);
      batch.push(line`route del ${catchRoute(subnet)}`);
    }
    const isNeeded = this.#wanted.size > 0 || this.#subnets.size > 0;
    if (!isNeeded && this.#hasRule) {
      this.#hasRule = false;
      batch.push(line`rule del pref ${RULE_PREF_OVERLAY}`);
    }
    if (batch.length > 0) await this.#batch(batch, ['-force']).catch(ignoreFailure);
  }

  /** Restores what somebody removed. @returns whether anything was missing */
  async repair(): Promise<boolean> {
    await this.look();
    const isMissing =
      (!this.#hasRule && (this.#wanted.size > 0 || this.#subnets.size > 0)) ||
      [...this.#subnets].some((subnet) => !this.#heldSubnets.has(subnet)) ||
      [...this.#wanted].some(
        ([address, { gateway, device }]) => this.#held.get(address) !== textOf(gateway, device),
      );
    if (isMissing) await this.add();
    return isMissing;
  }

  /** Removes everything. */
  async clear(): Promise<void> {
    this.#wanted.clear();
    this.#subnets.clear();
    await this.look();
    await this.prune();
  }

  get #bits(): number {
    return this.#family.version === 4 ? 32 : 128;
  }

  #alone(address: string): Line {
    return line`${word(address)}/${this.#bits}`;
  }

  async #batch(commands: readonly Line[], options: readonly string[] = []): Promise<void> {
    const args = [`-${this.#family.version}`, ...options, '-batch', '-'];
    try {
      await this.#run('ip', args, `${commands.join('\n')}\n`);
    } catch (error) {
      // Some of it may have worked.
      this.#isUnknown = true;
      throw error;
    }
  }

  /** Empty also when there is no such table, or no such family in the kernel. */
  async #list<T>(args: readonly string[]): Promise<T[]> {
    try {
      const text = await this.#run('ip', [`-${this.#family.version}`, '-j', ...args]);
      return text.trim() === '' ? [] : (JSON.parse(text) as T[]);
    } catch (error) {
      if (error instanceof CommandError && error.code === undefined) return [];
      throw error;
    }
  }
}

function textOf(gateway: string | undefined, device: string | undefined): string {
  return `${gateway ?? ''} ${device ?? ''}`;
}

function catchRoute(subnet: string): Line {
  return line`unreachable ${word(subnet)} metric ${CATCH_METRIC} proto ${ROUTE_PROTOCOL}`;
}

function ignoreFailure(error: unknown): void {
  if (!(error instanceof CommandError) || error.code !== undefined) throw error;
}
