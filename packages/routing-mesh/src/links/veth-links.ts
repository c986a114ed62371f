import {
  type IpAddress,
  isHostAddress,
  isIpv6,
  isLoopback,
  isTaskAddress,
  type Logger,
  parseIpAddress,
  Subnet,
} from '@swarm/api';
import { derivedFrom } from '../address.js';
import { type NetnsPath, readNetnsPath } from '../attachment.js';
import type { CheckedPeer } from '../checked.js';
import type { CheckedIngress } from '../ingress.js';
import { CommandError, type RunCommand } from '../kernel/command.js';
import type { Kernel } from '../kernel/kernel.js';
import { setSysctl } from '../kernel/sysctls.js';
import { type Line, line, word, words } from '../kernel/words.js';
import {
  isTaskLinkName,
  type LinkName,
  type NetworkId,
  parseTaskId,
  placeOfLink,
  type TaskId,
  taskDeviceName,
  taskLinkName,
} from '../layout.js';
import { gatewayPlace } from './gateway.js';
import { type FamilyCommands, linkCommands, type LinkPlan, readAlias } from './link-commands.js';
import type { FoundLink, LinkWishes, TaskLinks } from './task-links.js';

/** IP version, for `ip`. */
type Family = 4 | 6;

/** Whether a task's node gave it the address, see `ingressIpv6`. */
function isDerived(address: IpAddress): boolean {
  return derivedFrom(address) !== undefined;
}

/** A link with the name of its host end. */
interface NamedLink extends FoundLink {
  readonly link: LinkName;
}

/**
 * Links as veth pairs, one for each network of a task. The alias of the host end names task and network:
 * `TASK:NETWORK`.
 */
export class VethLinks implements TaskLinks {
  readonly #kernel: Kernel;
  readonly #run: RunCommand;
  readonly #logger: Logger;
  #self: CheckedPeer | undefined;
  #ingressMtuBytes: number | undefined;
  /** Names of each task's links, as far as they were made or listed. */
  readonly #names = new Map<TaskId, readonly LinkName[]>();

  constructor(options: { kernel: Kernel; logger: Logger }) {
    this.#kernel = options.kernel;
    this.#run = options.kernel.run;
    this.#logger = options.logger;
  }

  start(self: CheckedPeer, ingress: CheckedIngress): void {
    this.#self = self;
    this.#ingressMtuBytes = ingress.mtuBytes;
  }

  async attach(task: LinkWishes): Promise<void> {
    const plans = this.#plan(task);
    const names = plans.map(({ taskId, place }) => taskLinkName(taskId, place));
    const before = this.#names.get(task.taskId) ?? [];
    this.#names.set(task.taskId, names);
    await this.#remove(before.filter((name) => !names.includes(name)));
    try {
      for (const plan of plans) await this.#link(plan);
    } catch (error) {
      await this.detach(task.taskId);
      throw error;
    }
  }

  async isAttached(task: LinkWishes): Promise<boolean> {
    const plans = this.#plan(task);
    const found = (await this.#list()).filter(({ taskId }) => taskId === task.taskId);
    const links = new Map(found.map((one) => [one.link, one]));
    const lacking: LinkPlan[] = [];
    for (const plan of plans) {
      const link = links.get(taskLinkName(plan.taskId, plan.place));
      const missing = plan.addresses.filter((one) => link?.addresses.includes(one) !== true);
      if (link?.networkId !== plan.networkId || !missing.every(isDerived)) return false;
      if (missing.length > 0) lacking.push(plan);
    }
    if (found.length !== plans.length) return false;
    // An earlier version knew no IPv6 on the ingress network: it comes without touching connections.
    for (const plan of lacking) await this.#addIpv6(plan);
    return true;
  }

  /** The task's ends and the routes go with the host's ends. */
  async detach(taskId: TaskId): Promise<void> {
    const names = this.#names.get(taskId) ?? [taskLinkName(taskId)];
    this.#names.delete(taskId);
    await this.#remove(names);
  }

  list(): Promise<readonly FoundLink[]> {
    return this.#list();
  }

  async retain(taskIds: ReadonlySet<string>): Promise<void> {
    const firsts = new Set<string>();
    for (const id of taskIds) {
      const taskId = parseTaskId(id);
      if (taskId !== undefined) firsts.add(taskLinkName(taskId));
    }
    const stale = (await this.#list()).filter(
      ({ link, taskId }) => !firsts.has(link) && (taskId === undefined || !taskIds.has(taskId)),
    );
    for (const { taskId } of stale) if (taskId !== undefined) this.#names.delete(taskId);
    await this.#remove(stale.map(({ link }) => link));
  }

  /** @throws RangeError */
  #plan({ taskId, netns, attachments, mtuBytes }: LinkWishes): LinkPlan[] {
    const path = readNetnsPath(netns);
    const networks = new Map<IpAddress, NetworkId>();
    for (const { networkId, addresses } of attachments) {
      for (const address of addresses) {
        const other = networks.get(address);
        networks.set(address, networkId);
        if (other === undefined) continue;
        // The host has one route to an address, so only one link can have it.
        throw new RangeError(
          `mesh: task ${taskId} has the address ${address} on both ${other} and ${networkId}`,
        );
      }
    }
    const gateways = {
      v4: gatewayPlace(attachments, (address) => !isIpv6(address)),
      v6: gatewayPlace(attachments, isIpv6),
    };
    const ingress = { mtuBytes: this.#ingressMtuBytes };
    return attachments.map(({ networkId, overlay, addresses }, place) => {
      const [first, ...more] = addresses;
      // Those on an overlay network are known to be in one of its subnets.
      if (overlay === undefined)
        for (const address of addresses) this.#checkAddress(taskId, address);
      return {
        taskId,
        networkId,
        netns: path,
        place,
        overlay,
        isGateway: { v4: place === gateways.v4, v6: place === gateways.v6 },
        addresses: [first, ...more],
        mtuBytes: Math.min(mtuBytes, (overlay ?? ingress).mtuBytes ?? mtuBytes),
      };
    });
  }

  /**
   * Checks an address on the ingress network: an IPv4 address is from the node's block. An IPv6 address can only
   * be checked for what no task has.
   * @throws RangeError
   */
  #checkAddress(taskId: TaskId, address: IpAddress): void {
    const { subnet } = this.#self!;
    if (isIpv6(address)) {
      if (isHostAddress(address) && !isLoopback(address)) return;
      throw new RangeError(`mesh: task ${taskId} cannot have the address ${address}`);
    }
    if (isTaskAddress(Subnet.of(subnet), address)) return;
    throw new RangeError(
      `mesh: task ${taskId} has the address ${address}, which is not in this node's block ${subnet}`,
    );
  }

  async #link(plan: LinkPlan): Promise<void> {
    const { v4 } = linkCommands(plan);
    const { netns } = plan;
    const link = taskLinkName(plan.taskId, plan.place);
    try {
      await this.#batch(4, v4.outside);
    } catch (error) {
      if (!(error instanceof CommandError) || !/File exists/.test(error.stderr)) throw error;
      await this.#remove([link]);
      await this.#batch(4, v4.outside);
    }
    await this.#quiet(4, v4.before, netns);
    await Promise.all([this.#batch(4, v4.inside, netns), this.#tune(link)]);
    await this.#addIpv6(plan);
  }

  async #addIpv6(plan: LinkPlan): Promise<void> {
    const { v6 } = linkCommands(plan);
    const { addresses } = plan;
    if (v6.inside.length === 0) return;
    try {
      await Promise.all([this.#addIpv6Inside(plan, v6), this.#batch(6, v6.outside)]);
    } catch (error) {
      // Without an IPv4 address there would be nothing left of the link.
      if (!(error instanceof CommandError) || addresses.every(isIpv6)) throw error;
      this.#logger.warn(
        { taskId: plan.taskId, networkId: plan.networkId, err: error },
        'the task gets no IPv6 address: the kernel rejected it',
      );
    }
  }

  async #addIpv6Inside(plan: LinkPlan, { before, inside }: FamilyCommands): Promise<void> {
    const { netns } = plan;
    await this.#quiet(6, before, netns);
    try {
      await this.#batch(6, inside, netns);
    } catch (error) {
      if (!(error instanceof CommandError)) throw error;
      // Engines switch IPv6 off in namespaces of containers that have no network of theirs with IPv6.
      await this.#switchOn(plan);
      await this.#batch(6, inside, netns);
    }
  }

  async #switchOn({ netns, place }: LinkPlan): Promise<void> {
    const setting = word(`net/ipv6/conf/${taskDeviceName(place)}/disable_ipv6`);
    await this.#run('nsenter', [`--net=${netns}`, 'sysctl', '-qw', `${setting}=0`]);
  }

  /** A task cannot send with another one's address, and gets no redirects when it reaches itself. */
  async #tune(link: LinkName): Promise<void> {
    await Promise.all([
      setSysctl(this.#kernel, this.#logger, `ipv4/conf/${link}/rp_filter`, '1'),
      setSysctl(this.#kernel, this.#logger, `ipv4/conf/${link}/send_redirects`, '0'),
    ]);
  }

  async #remove(links: readonly LinkName[]): Promise<void> {
    if (links.length === 0) return;
    const batch = lines(links.map((link) => line`link del ${link}`));
    try {
      await this.#run('ip', ['-force', '-batch', '-'], batch);
    } catch (error) {
      // The second is of a namespace that the kernel removes between `ip`'s look-up and its request.
      const isGone =
        error instanceof CommandError && /Cannot find device|No such device/.test(error.stderr);
      if (!isGone) throw error;
    }
  }

  async #list(): Promise<NamedLink[]> {
    const [links, routes, routesV6] = await Promise.all([
      this.#json<{ ifname: string; ifalias?: string }>(words`link show type veth`),
      this.#json<{ dst: string; dev?: string }>(words`route show table main`),
      this.#routesV6(),
    ]);
    const addresses = new Map<string, IpAddress[]>();
    for (const { dst, dev = '' } of [...routes, ...routesV6]) {
      const address = parseIpAddress(dst);
      if (address !== undefined) addresses.set(dev, [...(addresses.get(dev) ?? []), address]);
    }
    const found: NamedLink[] = [];
    for (const { ifname, ifalias } of links) {
      if (!isTaskLinkName(ifname)) continue;
      found.push({
        link: ifname,
        ...readAlias(ifalias),
        place: placeOfLink(ifname),
        addresses: addresses.get(ifname) ?? [],
      });
    }
    for (const { taskId, link } of found) {
      const known = taskId === undefined ? [] : (this.#names.get(taskId) ?? []);
      if (taskId !== undefined && !known.includes(link)) this.#names.set(taskId, [...known, link]);
    }
    return found;
  }

  /** Empty if the kernel has no IPv6. */
  async #routesV6(): Promise<{ dst: string; dev?: string }[]> {
    try {
      return await this.#json(['-6', 'route', 'show', 'table', 'main']);
    } catch (error) {
      if (error instanceof CommandError && error.code === undefined) return [];
      throw error;
    }
  }

  async #json<T>(args: readonly string[]): Promise<T[]> {
    const text = await this.#run('ip', ['-j', ...args]);
    return text.trim() === '' ? [] : (JSON.parse(text) as T[]);
  }

  /** Runs within a namespace if one is given. */
  async #batch(family: Family, commands: readonly Line[], netns?: NetnsPath): Promise<void> {
    const args = words`-${family} -batch -`;
    if (netns === undefined) await this.#run('ip', args, lines(commands));
    else await this.#run('nsenter', [...words`--net=${netns} ip`, ...args], lines(commands));
  }

  /** Ignores failures: what is already gone is as wanted. */
  async #quiet(family: Family, commands: readonly Line[], netns: NetnsPath): Promise<void> {
    if (commands.length === 0) return;
    const args = words`--net=${netns} ip -${family} -force -batch -`;
    try {
      await this.#run('nsenter', args, lines(commands));
    } catch (error) {
      if (!(error instanceof CommandError) || error.code !== undefined) throw error;
    }
  }
}

function lines(commands: readonly Line[]): string {
  return `${commands.join('\n')}\n`;
}
