import { CommandError, type RunCommand } from '../kernel/command.js';

/** Deletions under way at once. */
const PARALLEL = 4;

/** Where a connection really leads: the source of its replies. */
export interface Flow {
  readonly protocol: string;
  readonly address: string;
  readonly port: number;
}

/** Reads `conntrack -L`. A line names `src=` twice: of the original direction, then of the reply. */
export function* parseFlows(listing: string): Generator<Flow> {
  for (const match of listing.matchAll(/^(\w+) .*? src=\S+ .*? src=(\S+) dst=\S+ sport=(\d+)/gm)) {
    yield { protocol: match[1]!, address: match[2]!, port: Number(match[3]) };
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
  async forgetFlows(protocol: string, address: string, port: number): Promise<void> {
    await this.#delete(['-p', protocol, '--reply-src', address, '--reply-port-src', `${port}`]);
  }

  /** Everything that leads to these addresses. */
  async forgetAddresses(addresses: readonly string[]): Promise<void> {
    for (let i = 0; i < addresses.length; i += PARALLEL) {
      await Promise.all(
        addresses.slice(i, i + PARALLEL).map((address) => this.#delete(['--reply-src', address])),
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
      if (isStale(flow)) await this.forgetFlows(flow.protocol, flow.address, flow.port);
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
