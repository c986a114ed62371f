import { type IpAddress, isIpv6, isLoopback, isPort, parseIpAddress, Subnet } from '@swarm/api';
import { CommandError, type RunCommand } from '../../kernel/command.js';
import { isWord, type Word, words } from '../../kernel/words.js';

/** Deletions running at once. */
const PARALLEL = 4;
/** Attempts at a deletion during which flows end by themselves. */
const DELETE_TRIES = 5;

type Family = 'ipv4' | 'ipv6';
/** It looks at IPv4 flows unless it is told otherwise. */
const INET6 = ['-f', 'ipv6'];

/** Where a connection actually goes: the source of its replies. */
export interface Flow {
  /** In conntrack's words: `tcp`, `udp`, `sctp` and others. */
  readonly protocol: Word;
  readonly address: IpAddress;
  readonly port: number;
}

/**
 * Parses `conntrack -L`. A line has `src=` twice: of the original direction, then of the reply. Skips lines
 * it cannot parse.
 */
export function* parseFlows(listing: string): Generator<Flow> {
  for (const match of listing.matchAll(/^(\w+) .*? src=\S+ .*? src=(\S+) dst=\S+ sport=(\d+)/gm)) {
    const address = parseIpAddress(match[2]);
    const port = Number(match[3]);
    if (address === undefined || !isWord(match[1]!) || !isPort(port)) continue;
    yield { protocol: match[1], address, port };
  }
}

/** A local address and port whose flows were led nowhere else. */
export interface PlainFlow {
  readonly address: IpAddress;
  readonly port: number;
}

/**
 * Parses `conntrack -L -p udp`: flows to an address that is also the one that answers, so nothing translated
 * them. Skips lines it cannot parse.
 */
export function* parsePlainFlows(listing: string): Generator<PlainFlow> {
  const line =
    /^udp .*? src=\S+ dst=(\S+) sport=\d+ dport=(\d+) .*?src=(\S+) dst=\S+ sport=(\d+)/gm;
  for (const [, to, toPort, from, fromPort] of listing.matchAll(line)) {
    const address = parseIpAddress(to);
    const port = Number(toPort);
    if (to !== from || toPort !== fromPort) continue;
    if (address !== undefined && isPort(port)) yield { address, port };
  }
}

/**
 * Deletes connection entries. Afterwards a UDP packet is assigned to an endpoint again, and a TCP packet is
 * answered by this host with a reset (with `nf_conntrack_tcp_loose` 0).
 */
export class Conntrack {
  readonly #run: RunCommand;
  readonly #families: readonly Family[];

  /** @param hasIpv6 whether anything is translated to IPv6 */
  constructor(run: RunCommand, { hasIpv6 = false }: { readonly hasIpv6?: boolean } = {}) {
    this.#run = run;
    this.#families = hasIpv6 ? ['ipv4', 'ipv6'] : ['ipv4'];
  }

  /** Forgets the flows of a protocol that go to this address and port. */
  async forgetFlows({ protocol, address, port }: Flow): Promise<void> {
    await this.delete(
      address,
      words`-p ${protocol} --reply-src ${address} --reply-port-src ${port}`,
    );
  }

  /** Forgets all flows to these addresses. */
  async forgetAddresses(addresses: readonly IpAddress[]): Promise<void> {
    for (let i = 0; i < addresses.length; i += PARALLEL) {
      await Promise.all(
        addresses
          .slice(i, i + PARALLEL)
          .map((address) => this.delete(address, words`--reply-src ${address}`)),
      );
    }
  }

  /** Forgets every translated flow that `isStale`. conntrack has no such filter, so this lists all flows first. */
  async forgetMatching(isStale: (flow: Flow) => boolean): Promise<void> {
    const listing = await this.#list(['--dst-nat']);
    const seen = new Set<string>();
    for (const flow of parseFlows(listing)) {
      const key = `${flow.protocol} ${flow.address} ${flow.port}`;
      if (seen.has(key)) continue;
      seen.add(key);
      if (isStale(flow)) await this.forgetFlows(flow);
    }
  }

  /**
   * Forgets UDP flows to these ports of this host that nothing translated: they began when the port led nowhere,
   * and the kernel would never look at them again while the client goes on. Leaves those that pass through this
   * host to a port of another, and those over loopback, which are never translated.
   */
  async forgetPlain(ports: ReadonlySet<number>): Promise<void> {
    if (ports.size === 0) return;
    const [first] = ports;
    const only = ports.size === 1 ? words`--orig-port-dst ${first!}` : [];
    const listing = await this.#list(['-p', 'udp', ...only]);
    const found = new Map<string, PlainFlow>();
    for (const flow of parsePlainFlows(listing)) {
      if (!ports.has(flow.port) || isLoopback(flow.address)) continue;
      found.set(`${flow.address} ${flow.port}`, flow);
    }
    if (found.size === 0) return;
    const own = await this.#localNetworks();
    const flows = [...found.values()].filter(({ address }) =>
      own.some((network) => network.offsetOf(address) !== undefined),
    );
    for (let i = 0; i < flows.length; i += PARALLEL) {
      await Promise.all(
        flows
          .slice(i, i + PARALLEL)
          .map(({ address, port }) =>
            this.delete(
              address,
              words`-p udp --orig-dst ${address} --orig-port-dst ${port} --reply-src ${address}`,
            ),
          ),
      );
    }
  }

  /** What this host takes packets for: its addresses, and whole networks that are routed to itself. */
  async #localNetworks(): Promise<readonly Subnet[]> {
    const networks: Subnet[] = [];
    for (const family of this.#families) {
      const [option, alone] = family === 'ipv4' ? (['-4', 32] as const) : (['-6', 128] as const);
      const args = ['-j', option, ...words`route show table local type local`];
      const listing = await this.#run('ip', args);
      const routes = JSON.parse(listing === '' ? '[]' : listing) as readonly { dst: string }[];
      for (const { dst } of routes) {
        const network = Subnet.parse(dst.includes('/') ? dst : `${dst}/${alone}`);
        if (network !== undefined) networks.push(network);
      }
    }
    return networks;
  }

  /** Flows of every family that is translated. */
  async #list(filter: readonly string[]): Promise<string> {
    const listings = await Promise.all(
      this.#families.map((family) =>
        this.#run('conntrack', ['-L', ...(family === 'ipv4' ? [] : INET6), ...filter]),
      ),
    );
    return listings.join('\n');
  }

  /**
   * Deletes the entries that a filter of `conntrack -D` names, if there are any.
   * @param address one of the filter: it says which family
   */
  async delete(address: IpAddress, filter: readonly string[]): Promise<void> {
    for (let tries = 1; ; tries += 1) {
      try {
        await this.#run('conntrack', ['-D', ...(isIpv6(address) ? INET6 : []), ...filter]);
        return;
      } catch (error) {
        if (!(error instanceof CommandError)) throw error;
        // Status 1 with this text: there were none.
        if (/ 0 flow entries/.test(error.stderr)) return;
        // One of them ended between being listed and being deleted, where the command stops.
        if (tries === DELETE_TRIES || !/conntrack doesn't exist/.test(error.stderr)) throw error;
      }
    }
  }
}
