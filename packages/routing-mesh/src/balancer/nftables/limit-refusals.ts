import { isPort, type Logger, parseIpAddress, type PortKey, portKey } from '@swarm/api';
import { isProtocol } from '../../checked.js';
import { CommandError, type RunCommand } from '../../kernel/command.js';
import { TABLE } from '../../layout.js';
import { countedElements, PacketCounts } from '../../table/packet-counts.js';
import type { PortRefusals } from '../load-balancer.js';
import { LIMIT_REFUSED_SETS } from './limit-section.js';

export interface LimitRefusalsReaderOptions {
  readonly run: RunCommand;
  readonly logger: Logger;
  /** Whether the table has IPv6 too. */
  readonly hasIpv6: boolean;
}

/** Reads from the kernel which clients limits refused. */
export class LimitRefusalsReader {
  readonly #options: LimitRefusalsReaderOptions;
  readonly #counts = new PacketCounts();
  #isFailing = false;

  constructor(options: LimitRefusalsReaderOptions) {
    this.#options = options;
  }

  /** What was refused since the last call, by port. */
  async read(): Promise<readonly PortRefusals[]> {
    const attempts = new Map<string, { readonly port: PortKey; readonly from: string }>();
    const counts = new Map<string, number>();
    for (const version of this.#options.hasIpv6 ? ([4, 6] as const) : ([4] as const)) {
      for (const { key, packets } of countedElements(await this.#list(version))) {
        const [protocol, publishedPort, address] = key;
        const from = parseIpAddress(address);
        if (!isProtocol(protocol) || !isPort(publishedPort) || from === undefined) continue;
        const port = portKey(protocol, publishedPort);
        attempts.set(`${port} ${from}`, { port, from });
        counts.set(`${port} ${from}`, packets);
      }
    }
    const refused = new Map<PortKey, PortRefusals>();
    for (const [key, count] of this.#counts.since(counts)) {
      const { port, from } = attempts.get(key)!;
      refused.set(port, { port, count: (refused.get(port)?.count ?? 0) + count, from });
    }
    return [...refused.values()];
  }

  async #list(version: 4 | 6): Promise<string> {
    const { run, hasIpv6, logger } = this.#options;
    try {
      const table = hasIpv6 ? 'inet' : 'ip';
      const set = LIMIT_REFUSED_SETS[version];
      const json = await run('nft', ['-j', 'list', 'set', table, TABLE, set]);
      this.#isFailing = false;
      return json;
    } catch (error) {
      if (!(error instanceof CommandError)) throw error;
      if (!this.#isFailing)
        logger.warn({ error: error.message }, 'cannot read what limits refused');
      this.#isFailing = true;
      return '{"nftables":[]}';
    }
  }
}
