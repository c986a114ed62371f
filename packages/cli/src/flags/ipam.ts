import { type IpAddress, parseIpAddress, Subnet } from '@swarm/api/client';
import { type Arguments, UsageError } from '../command.js';

/** One entry of a network's `IPAM.Config`. */
export interface IpamConfig {
  readonly Subnet: string;
  readonly IPRange?: string;
  readonly Gateway?: string;
}

/**
 * Puts each `--gateway` and `--ip-range` with the `--subnet` that it is in, as the API takes them.
 * @throws UsageError for what cannot be read, or is in no subnet
 */
export function ipamConfig(args: Arguments): IpamConfig[] {
  const configs = each(args, 'subnet').map((text) => ({
    text,
    subnet: subnetOf('subnet', text),
    range: undefined as string | undefined,
    gateway: undefined as string | undefined,
  }));
  for (const text of each(args, 'ip-range')) {
    const range = subnetOf('ip-range', text);
    const config = configs.find(({ subnet }) => subnet.contains(range)) ?? lonely(`range ${text}`);
    if (config.range !== undefined)
      throw new UsageError(
        `cannot configure multiple ranges (${text}, ${config.range}) on the same subnet (${config.text})`,
      );
    config.range = text;
  }
  for (const text of each(args, 'gateway')) {
    const address = addressOf(text);
    const config =
      configs.find(({ subnet }) => subnet.offsetOf(address) !== undefined) ??
      lonely(`gateway ${text}`);
    if (config.gateway !== undefined)
      throw new UsageError(
        `cannot configure multiple gateways (${text}, ${config.gateway}) for the same subnet (${config.text})`,
      );
    config.gateway = text;
  }
  return configs.map(({ text, range, gateway }) => ({
    Subnet: text,
    ...(range !== undefined && { IPRange: range }),
    ...(gateway !== undefined && { Gateway: gateway }),
  }));
}

/** The values of a flag that may be given several times, or once with commas. */
export function each(args: Arguments, flag: string): readonly string[] {
  return args
    .list(flag)
    .flatMap((text) => text.split(','))
    .map((text) => text.trim())
    .filter((text) => text !== '');
}

/** The daemon refuses bits beyond the prefix; here they only have to be in a subnet. */
function subnetOf(flag: string, text: string): Subnet {
  const subnet = Subnet.enclosing(text);
  if (subnet !== undefined) return subnet;
  throw new UsageError(
    `invalid argument '${text}' for --${flag}: use a subnet such as 10.1.0.0/24`,
  );
}

function addressOf(text: string): IpAddress {
  const address = parseIpAddress(text);
  if (address !== undefined) return address;
  throw new UsageError(`invalid argument '${text}' for --gateway: use an IP address`);
}

function lonely(what: string): never {
  throw new UsageError(
    `no matching subnet for ${what}: every ip-range or gateway must have a corresponding subnet`,
  );
}
