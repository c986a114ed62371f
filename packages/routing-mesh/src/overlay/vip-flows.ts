import { type IpAddress, type Logger, parseIpAddress } from '@swarm/api';
import type { Conntrack } from '../balancer/nftables/conntrack.js';
import { CommandError, type RunCommand } from '../kernel/command.js';
import { isWord, type Word, words } from '../kernel/words.js';
import type { Vip } from './vips.js';

/** Removed members in one state above which listing all flows is faster than one deletion for each. */
const LISTING_AT = 16;

/** A connection by a virtual address. */
export interface VipFlow {
  /** In conntrack's words. */
  readonly protocol: Word;
  /** What the client asked for. */
  readonly vip: IpAddress;
  /** Who answers. */
  readonly member: IpAddress;
}

/** A member that a virtual address no longer leads to. */
interface Removed {
  readonly vip: IpAddress;
  readonly member: IpAddress;
  readonly nodeId: string;
}

/** What is true after a change. */
export interface VipPlaces {
  /** Packets may have passed without rules. */
  readonly isUnsure: boolean;
  isAlive(nodeId: string): boolean;
  /** Whether it belongs to a network of this node. */
  isOurs(address: IpAddress): boolean;
  leads(vip: IpAddress, member: IpAddress): boolean;
}

/** Parses `conntrack -L`: where flows went, and who answers. Skips lines it cannot parse. */
export function* parseVipFlows(listing: string): Generator<VipFlow> {
  for (const match of listing.matchAll(/^(\w+) .*? src=\S+ dst=(\S+) .*? src=(\S+) dst=\S+ /gm)) {
    const vip = parseIpAddress(match[2]);
    const member = parseIpAddress(match[3]);
    if (vip === undefined || member === undefined || !isWord(match[1]!)) continue;
    yield { protocol: match[1], vip, member };
  }
}

/**
 * Ends what must not go on by a virtual address: UDP to members that are gone, since the kernel looks at a flow only
 * once, and anything to members whose node is gone. TCP to a member that only stopped serving continues.
 */
export class VipFlows {
  readonly #conntrack: Conntrack;
  readonly #run: RunCommand;
  readonly #logger: Logger;
  #removed: Removed[] = [];
  /** Any flow may exist, such as those of an earlier process. */
  #isUnsure = false;
  #isFailing = false;

  constructor(options: { conntrack: Conntrack; run: RunCommand; logger: Logger }) {
    this.#conntrack = options.conntrack;
    this.#run = options.run;
    this.#logger = options.logger;
  }

  /** An earlier process's flows exist. */
  doubt(): void {
    this.#isUnsure = true;
  }

  /** Nobody here uses virtual addresses. */
  clear(): void {
    this.#removed = [];
    this.#isUnsure = false;
  }

  note(before: Vip | undefined, after: Vip | undefined): void {
    for (const [member, { nodeId }] of before?.members ?? []) {
      if (after?.members.has(member)) continue;
      this.#removed.push({ vip: before!.address, member, nodeId });
    }
  }

  async settle(places: VipPlaces): Promise<void> {
    const removed = this.#removed;
    this.#removed = [];
    this.#isUnsure ||= places.isUnsure;
    if (!this.#isUnsure && removed.length === 0) return;
    try {
      if (this.#isUnsure || removed.length > LISTING_AT) await this.#forgetListed(places, removed);
      else await this.#forgetRemoved(places, removed);
      this.#isUnsure = false;
      this.#isFailing = false;
    } catch (error) {
      this.#isUnsure = true;
      if (!this.#isFailing) {
        this.#logger.warn(
          error instanceof CommandError ? { error: error.message } : { err: error },
          'could not delete the connections of tasks that are gone: is the command "conntrack" installed?',
        );
      }
      this.#isFailing = true;
    }
  }

  async #forgetRemoved(places: VipPlaces, removed: readonly Removed[]): Promise<void> {
    for (const { vip, member, nodeId } of removed) {
      if (places.leads(vip, member)) continue;
      const only = places.isAlive(nodeId) ? words`-p udp` : [];
      await this.#conntrack.delete(vip, [
        ...only,
        ...words`--orig-dst ${vip} --reply-src ${member}`,
      ]);
    }
  }

  /** Looks at all flows, since it is unknown which there are, or too many to ask for one by one. */
  async #forgetListed(places: VipPlaces, removed: readonly Removed[]): Promise<void> {
    const dead = new Set(
      removed.filter(({ nodeId }) => !places.isAlive(nodeId)).map(({ member }) => member),
    );
    const found = new Map<string, VipFlow>();
    for (const version of ['ipv4', 'ipv6']) {
      const listing = await this.#run('conntrack', ['-L', '-f', version, '--dst-nat']);
      for (const flow of parseVipFlows(listing)) {
        const { protocol, vip, member } = flow;
        if (!places.isOurs(vip) || places.leads(vip, member)) continue;
        if (protocol !== 'udp' && !dead.has(member)) continue;
        found.set(`${protocol} ${vip} ${member}`, flow);
      }
    }
    for (const { protocol, vip, member } of found.values()) {
      await this.#conntrack.delete(
        vip,
        words`-p ${protocol} --orig-dst ${vip} --reply-src ${member}`,
      );
    }
  }
}
