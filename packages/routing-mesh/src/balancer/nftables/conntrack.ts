import { type IpAddress, isPort, parseIpAddress } from '@swarm/api';
import { CommandError, type RunCommand } from '../../kernel/command.js';
import { isWord, type Word, words } from '../../kernel/words.js';

/** Deletions running at once. */
const PARALLEL = 4;

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

/**
 * Deletes connection entries. Afterwards a UDP packet is assigned to an endpoint again, and a TCP packet is
 * answered by this host with a reset (with `nf_conntrack_tcp_loose` 0).
 */
export class Conntrack {
  readonly #run: RunCommand;

  constructor(run: RunCommand) {
    this.#run = run;
  }

  /** Forgets the flows of a protocol that go to this address and port. */
  async forgetFlows({ protocol, address, port }: Flow): Promise<void> {
    await this.#delete(words`-p ${protocol} --reply-src ${address} --reply-port-src ${port}`);
  }

  /** Forgets all flows to these addresses. */
  async forgetAddresses(addresses: readonly IpAddress[]): Promise<void> {
    for (let i = 0; i < addresses.length; i += PARALLEL) {
      await Promise.all(
        addresses
          .slice(i, i + PARALLEL)
          .map((address) => this.#delete(words`--reply-src ${address}`)),
      );
    }
  }

  /** Forgets every translated flow that `isStale`. conntrack has no such filter, so this lists all flows first. */
  async forgetMatching(isStale: (flow: Flow) => boolean): Promise<void> {
    const listing = await this.#run('conntrack', ['-L', '--dst-nat']);
    const seen = new Set<string>();
    for (const flow of parseFlows(listing)) {
      const key = `${flow.protocol} ${flow.address} ${flow.port}`;
      if (seen.has(key)) continue;
      seen.add(key);
      if (isStale(flow)) await this.forgetFlows(flow);
    }
  }

  async #delete(filter: readonly string[]): Promise<void> {
    try {
      await this.#run('conntrack', ['-D', ...filter]);
    } catch (error) {
      // Status 1 with this text: there were none.
      if (error instanceof CommandError && /0 flow entries/.test(error.stderr)) return;
      throw error;
    }
  }
}
