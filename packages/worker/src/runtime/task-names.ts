import { readFileSync } from 'node:fs';
import { readResolvConf, writeResolvConf } from '@swarm/routing-mesh';
import type { SandboxDns } from './sandbox.js';

/** Where the node's mesh answers tasks on overlay networks, as with Docker. */
export const NAME_SERVER = '127.0.0.11';
/** Names of services have no dot, and come before the search domains. */
const NDOTS = 'ndots:0';
/** In Docker's `--dns-search`: no search domains, not even the host's. */
const NO_SEARCH = '.';

/** DNS settings of a task whose questions the mesh answers; its own name servers are the mesh's business. */
export function namesDns(dns: SandboxDns | undefined): SandboxDns {
  const own = dns?.DnsSearch ?? [];
  const search = own.length > 0 ? own : hostSearch();
  const options = dns?.DnsOptions ?? [];
  return {
    Dns: [NAME_SERVER],
    DnsSearch: search.filter((domain) => domain !== NO_SEARCH),
    DnsOptions: options.some((option) => option.startsWith('ndots:'))
      ? options
      : [NDOTS, ...options],
  };
}

/** The same as the text of a resolv.conf. */
export function namesResolvConf(dns: SandboxDns | undefined): string {
  const { Dns, DnsSearch, DnsOptions } = namesDns(dns);
  return writeResolvConf({ nameservers: Dns, search: DnsSearch, options: DnsOptions });
}

/** An /etc/hosts like that of a container: the task itself, and nothing of the host's, which could hide a service. */
export function namesHosts(addresses: readonly string[], hostname: string): string {
  const lines = [
    ['127.0.0.1', 'localhost'],
    ['::1', 'localhost', 'ip6-localhost', 'ip6-loopback'],
    ...addresses.map((address) => [address, hostname]),
  ];
  return lines.map((line) => `${line.join('\t')}\n`).join('');
}

function hostSearch(): readonly string[] {
  try {
    return readResolvConf(readFileSync('/etc/resolv.conf', 'latin1')).search;
  } catch {
    return [];
  }
}
