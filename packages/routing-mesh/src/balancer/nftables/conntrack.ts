import { type IpAddress, isPort, parseIpAddress } from '@swarm/api';
import { CommandError, type RunCommand } from '../../kernel/command.js';
import { isWord, type Word, words } from '../../kernel/words.js';

/** Deletions under way at once. */
const PARALLEL = 4;

/** Where a connection really leads: the source of its replies. */
export interface Flow {
  /** As conntrack names it: `tcp`, `udp`, `sctp` and others. */
  readonly protocol: Word;
  readonly address: IpAddress;
  readonly port: number;
}

/**
 * Reads `conntrack -L`. A line names `src=` twice: of the original direction, then of the reply. Skips
 * lines that are not as expected.
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
 * Forgets connections. A packet that belongs to none afterwards is either drawn anew (UDP) or answered by
 * this host with a reset (TCP, with `nf_conntrack_tcp_loose` 0).
 */
export class Conntrack {
  readonly #run: RunCommand;

  constructor(run: RunCommand) {
    this.#run = run;
  }

  /** Flows of a protocol that lead to this address and port. */
  async forgetFlows({ protocol, address, port }: Flow): Promise<void> {
    await this.#delete(words`-p ${protocol} --reply-src ${address} --reply-port-src ${port}`);
  }

  /** Everything that leads to these addresses. */
  async forgetAddresses(addresses: readonly IpAddress[]): Promise<void> {
    for (let i = 0; i < addresses.length; i += PARALLEL) {
      await Promise.all(
        addresses
          .slice(i, i + PARALLEL)
          .map((address) => this.#delete(words`--reply-src ${address}`)),
      );
    }
  }

  /** Every translated flow that `isStale`; conntrack has no filter for it, so they are listed first. */
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
      // Status 1 with this text: there was none.
      if (error instanceof CommandError && /0 flow entries/.test(error.stderr)) return;
      throw error;
    }
  }
}
