import { type IpAddress, parseIpAddress } from '@swarm/api/address';

/** What a resolv.conf says (resolv.conf(5)). */
export interface ResolvConf {
  readonly nameservers: readonly IpAddress[];
  readonly search: readonly string[];
  readonly options: readonly string[];
}

/** More than any resolver reads. */
const NAMESERVERS_LIMIT = 8;

/** Reads a resolv.conf; skips what it cannot read. */
export function readResolvConf(text: string): ResolvConf {
  const nameservers: IpAddress[] = [];
  let search: readonly string[] = [];
  const options: string[] = [];
  for (const line of text.split('\n')) {
    const [word, ...values] = line.trim().split(/\s+/);
    if (word === 'nameserver') {
      // `fe80::1%eth0` names a link, which parseIpAddress does not take.
      const address = parseIpAddress(values[0]);
      if (address !== undefined && !nameservers.includes(address)) nameservers.push(address);
    } else if (word === 'search' || word === 'domain') search = values;
    else if (word === 'options') options.push(...values);
  }
  return { nameservers: nameservers.slice(0, NAMESERVERS_LIMIT), search, options };
}

/** Writes a resolv.conf. */
export function writeResolvConf({
  nameservers,
  search,
  options,
}: Omit<ResolvConf, 'nameservers'> & { readonly nameservers: readonly string[] }): string {
  const lines = nameservers.map((address) => `nameserver ${address}`);
  if (search.length > 0) lines.push(`search ${search.join(' ')}`);
  if (options.length > 0) lines.push(`options ${options.join(' ')}`);
  return lines.map((line) => `${line}\n`).join('');
}
