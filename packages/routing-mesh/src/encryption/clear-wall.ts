import { type Logger, Subnet } from '@swarm/api';
import type { Kernel } from '../kernel/kernel.js';
import type { Nft } from '../kernel/nft.js';
import { words } from '../kernel/words.js';
import {
  ENCRYPTION_TABLE,
  IPSEC_DEVICE,
  IPSEC_INTERFACE_ID,
  TASK_LINK_PREFIX,
  WIREGUARD_DEVICE,
} from '../layout.js';
import { chainText } from '../table/ruleset.js';

const DELETE_TABLE = `add table inet ${ENCRYPTION_TABLE}\ndelete table inet ${ENCRYPTION_TABLE}\n`;
const SETS = ['subnets', 'subnets_v6'] as const;
/** Rules by chain, in their order. */
function chainRules(hasIpsec: boolean): Readonly<Record<'received' | 'sent', readonly string[]>> {
  return {
    received: [
      `iifname "${WIREGUARD_DEVICE}" accept`,
      `iifname "${IPSEC_DEVICE}" accept`,
      `iifname "${TASK_LINK_PREFIX}*" accept`,
      'iifname "lo" accept',
      'ip saddr @subnets drop',
      'ip6 saddr @subnets_v6 drop',
      'ip daddr @subnets drop',
      'ip6 daddr @subnets_v6 drop',
    ],
    sent: [
      `oifname "${WIREGUARD_DEVICE}" accept`,
      `oifname "${IPSEC_DEVICE}" accept`,
      // What left by that device passes again, on its way to be encrypted, with the device behind.
      ...(hasIpsec ? [`ipsec out reqid ${IPSEC_INTERFACE_ID} accept`] : []),
      `oifname "${TASK_LINK_PREFIX}*" accept`,
      'oifname "lo" accept',
      'ip daddr @subnets drop',
      'ip6 daddr @subnets_v6 drop',
    ],
  };
}

/** What `nft -j` lists; only the parts that we look at. */
interface Listing {
  readonly nftables: readonly {
    readonly chain?: { readonly name: string; readonly hook?: string };
    readonly rule?: object;
    readonly set?: { readonly name: string; readonly elem?: readonly unknown[] };
  }[];
}

/**
 * Keeps packets of encrypted networks from leaving this node in clear, and drops those that come in clear, whatever
 * routes and other tables say: to an address of such a network only the encrypted devices and the links of tasks lead,
 * and only from there come packets with such a source or target. A table of its own, for both families, so that nothing that happens to the
 * other one opens it.
 */
export class ClearWall {
  readonly #kernel: Kernel;
  readonly #nft: Nft;
  readonly #logger: Logger;
  readonly #rules: ReturnType<typeof chainRules>;
  /** What the table holds; undefined while that is unknown, as at first: an earlier process may have left it. */
  #held: string | undefined;
  #subnets: readonly Subnet[] = [];

  /** @param options.hasIpsec whether packets may leave by IPsec: the kernel must know of it then */
  constructor(options: { kernel: Kernel; nft: Nft; logger: Logger; hasIpsec: boolean }) {
    this.#rules = chainRules(options.hasIpsec);
    this.#kernel = options.kernel;
    this.#nft = options.nft;
    this.#logger = options.logger;
  }

  /**
   * Guards exactly these subnets, in one transaction, and reads back that the kernel does.
   * @throws when it does not; nothing may be led to these networks then
   */
  async guard(subnets: readonly Subnet[]): Promise<void> {
    const wanted = subnets.map(String).sort().join(' ');
    if (wanted === this.#held) return;
    this.#held = undefined;
    this.#subnets = subnets;
    await this.#nft.run(subnets.length === 0 ? DELETE_TABLE : tableText(subnets, this.#rules));
    if (!(await this.#isWhole())) {
      throw new Error(
        `mesh: the kernel does not hold the rules that keep packets of encrypted networks from leaving in clear; see "nft list table inet ${ENCRYPTION_TABLE}"`,
      );
    }
    this.#held = wanted;
  }

  /** @returns whether somebody had changed it, and it was written again */
  async repair(): Promise<boolean> {
    if (this.#held === undefined || (await this.#isWhole())) return false;
    this.#logger.warn({}, 'somebody changed the rules of encrypted networks; writing them again');
    this.#held = undefined;
    await this.guard(this.#subnets);
    return true;
  }

  async close({ keep }: { readonly keep: boolean }): Promise<void> {
    if (!keep) await this.#nft.run(DELETE_TABLE);
  }

  /** The subnets that the kernel guards, also for an earlier process. */
  async look(): Promise<readonly Subnet[]> {
    const listing = await this.#list();
    const elements = listing?.nftables.flatMap(({ set }) => set?.elem ?? []) ?? [];
    return elements.flatMap((element) => {
      if (typeof element === 'string') return Subnet.parse(element) ?? [];
      const { prefix } = element as { prefix?: { addr: string; len: number } };
      return prefix === undefined ? [] : (Subnet.parse(`${prefix.addr}/${prefix.len}`) ?? []);
    });
  }

  /** Undefined when there is no table. */
  async #list(): Promise<Listing | undefined> {
    let text: string;
    try {
      text = await this.#kernel.run('nft', words`-j list table inet ${ENCRYPTION_TABLE}`);
    } catch {
      return undefined;
    }
    return JSON.parse(text) as Listing;
  }

  async #isWhole(): Promise<boolean> {
    if (this.#subnets.length === 0) return true;
    const listing = await this.#list();
    if (listing === undefined) return false;
    const { nftables } = listing;
    const hooks = nftables.flatMap(({ chain }) => (chain?.hook === undefined ? [] : chain.name));
    const elements = nftables.flatMap(({ set }) => set?.elem ?? []);
    return (
      nftables.filter(({ rule }) => rule !== undefined).length ===
        this.#rules.received.length + this.#rules.sent.length &&
      Object.keys(this.#rules).every((name) => hooks.includes(name)) &&
      elements.length === this.#subnets.length
    );
  }
}

function tableText(subnets: readonly Subnet[], rules: ReturnType<typeof chainRules>): string {
  const set = (name: (typeof SETS)[number], type: string, of: readonly Subnet[]): string => {
    const elements = of.length === 0 ? '' : ` elements = { ${of.join(', ')} };`;
    return `  set ${name} { type ${type}; flags interval;${elements} }\n`;
  };
  const v4 = subnets.filter(({ isIpv6 }) => !isIpv6);
  const v6 = subnets.filter(({ isIpv6 }) => isIpv6);
  // Before connections are tracked: nothing remembers what is dropped.
  const received = 'type filter hook prerouting priority raw; policy accept;';
  // After everything that could change a target or a device.
  const sent = 'type filter hook postrouting priority 400; policy accept;';
  return `${DELETE_TABLE}table inet ${ENCRYPTION_TABLE} {
${set('subnets', 'ipv4_addr', v4)}${set('subnets_v6', 'ipv6_addr', v6)}${chainText('received', [received, ...rules.received])}${chainText('sent', [sent, ...rules.sent])}}
`;
}
