import { ApiError } from '../errors.js';
import { isTaskOffset, NODE_ADDRESS_OFFSET, USER_VNI_FIRST, VNI_LAST } from '../network/layout.js';
import {
  ENCRYPTED_OPTION,
  MTU_MAX_BYTES,
  MTU_OPTION,
  VNI_OPTION,
} from '../network/overlay-options.js';
import { predefinedNetwork } from '../network/predefined.js';
import { Subnet } from '../network/subnet.js';
import type { NetworkSpec } from '../objects/others.js';
import { parseCidr, parseIpAddress } from '../values/address.js';
import { specialUse } from './address-pools.js';
import { type Decoded, flag, list, map, object, text, unserved } from './field.js';
import { checkIngress } from './ingress-network.js';
import { checkDnsName } from './names.js';

const OPTIONS: readonly string[] = [ENCRYPTED_OPTION, MTU_OPTION, VNI_OPTION];
/** The smallest packets that every IPv4 and IPv6 host must take (RFC 791, RFC 8200). */
const MTU_MIN = { v4: 576, v6: 1280 };

const networkBody = object({
  Name: text(),
  // Names are unique here, whether asked for or not.
  CheckDuplicate: flag(),
  Driver: text(),
  Scope: text(),
  Internal: flag(),
  Attachable: flag(),
  Ingress: flag(),
  ConfigOnly: unserved('networks that are only a configuration are not served'),
  ConfigFrom: unserved('networks from a configuration are not served; give the options themselves'),
  EnableIPv4: flag(),
  EnableIPv6: flag(),
  IPAM: object({
    Driver: text(),
    Options: unserved('the default IPAM driver has no options'),
    Config: list(
      object({
        Subnet: text(),
        IPRange: text(),
        Gateway: text(),
        AuxiliaryAddresses: unserved('addresses cannot be set aside; give an IPRange instead'),
        AuxAddress: unserved('addresses cannot be set aside; give an IPRange instead'),
      }),
    ),
  }),
  Options: map(text()),
  Labels: map(text()),
});

type NetworkInput = Decoded<typeof networkBody>;
type Config = NonNullable<NetworkSpec['IPAM']>['Config'][number];

const aboutBody = object({ Driver: anyText(), Scope: anyText(), Ingress: anyText() });

/** Whether a body of `POST /networks/create` asks for a network of the cluster, and not of the host. */
export function isClusterNetwork(body: unknown): boolean {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) return false;
  const { Driver, Scope, Ingress } = aboutBody.read(onlyKnown(body), '') ?? {};
  return Driver === 'overlay' || Scope === 'swarm' || Ingress === 'true';
}

/** The fields that tell whose the network is; all others are the owner's to judge. */
function onlyKnown(body: object): object {
  const known = ['driver', 'scope', 'ingress'];
  return Object.fromEntries(
    Object.entries(body).filter(([name]) => known.includes(name.toLowerCase())),
  );
}

function anyText() {
  return { read: (value: unknown) => String(value) };
}

/**
 * Reads the body of `POST /networks/create` for a network of the cluster. Checks everything that does not
 * depend on what else the cluster has. In the spec, `IPAM.Config` has what was asked for, at most one entry of
 * each family.
 * @throws ApiError BAD_REQUEST, INVALID_ARGUMENT, PERMISSION_DENIED, UNIMPLEMENTED
 */
export function decodeNetwork(body: unknown): NetworkSpec {
  const input = networkBody.read(body ?? {}, '') ?? {};
  const Name = input.Name ?? '';
  const predefined = predefinedNetwork(Name);
  if (predefined !== undefined) {
    throw new ApiError(
      'PERMISSION_DENIED',
      `operation is not permitted on predefined ${predefined} network`,
    );
  }
  checkDnsName(Name);
  checkKind(input);
  const IPv6Enabled = input.EnableIPv6 ?? false;
  const configs = (input.IPAM?.Config ?? []).flatMap(readConfig);
  checkFamilies(configs, IPv6Enabled);
  const spec: NetworkSpec = {
    Name,
    Labels: input.Labels ?? {},
    Driver: 'overlay',
    DriverOpts: readOptions(input.Options ?? {}, IPv6Enabled),
    Internal: input.Internal ?? false,
    Attachable: input.Attachable ?? false,
    Ingress: input.Ingress ?? false,
    IPv6Enabled,
    Scope: 'swarm',
    IPAM: { Driver: 'default', Config: configs },
  };
  if (spec.Ingress) checkIngress(spec);
  return spec;
}

function checkKind(input: NetworkInput): void {
  const driver = input.Driver ?? '';
  if (driver !== '' && driver !== 'overlay') {
    throw new ApiError(
      'UNIMPLEMENTED',
      `Driver: a network of driver "${driver}" cannot span the cluster; only overlay can`,
    );
  }
  const scope = input.Scope ?? '';
  if (scope !== '' && scope !== 'swarm') {
    refuse(`Scope: an overlay network has scope swarm, not "${scope}"`);
  }
  const ipam = input.IPAM?.Driver ?? '';
  if (ipam !== '' && ipam !== 'default') {
    throw new ApiError('UNIMPLEMENTED', `IPAM.Driver: "${ipam}" is not served; only default is`);
  }
  if (input.EnableIPv4 === false) refuse('IPv4 cannot be disabled in a Swarm scoped network');
}

/** @returns nothing for an entry that asks for nothing */
function readConfig(given: {
  readonly Subnet?: string;
  readonly IPRange?: string;
  readonly Gateway?: string;
}): Config[] {
  const { Subnet: text = '', IPRange: range = '', Gateway: gateway = '' } = given;
  if (text === '' && range === '' && gateway === '') return [];
  const subnet = readSubnet(text, 'subnet');
  checkSize(subnet);
  return [
    {
      Subnet: subnet.toString(),
      ...(gateway !== '' && { Gateway: readGateway(subnet, gateway) }),
      ...(range !== '' && { IPRange: readRange(subnet, range) }),
    },
  ];
}

function readSubnet(text: string, what: 'subnet' | 'range'): Subnet {
  const subnet = Subnet.parse(text);
  if (subnet !== undefined) return subnet;
  const cidr = parseCidr(text);
  if (cidr === undefined) refuse(`ipam configuration: invalid ${what} ${text}`);
  const masked = Subnet.around(cidr.address, cidr.prefixLength);
  return refuse(`invalid ${what} ${text}: it should be ${masked}`);
}

function checkSize(subnet: Subnet): void {
  const use = specialUse(subnet);
  if (use !== undefined) refuse(`ipam configuration: invalid subnet ${subnet}: it has ${use}`);
  const longest = subnet.isIpv6 ? 126 : 30;
  if (subnet.prefixLength > longest) {
    refuse(
      `ipam configuration: invalid subnet ${subnet}: it has no address for tasks; use /${longest} or larger`,
    );
  }
}

function readGateway(subnet: Subnet, text: string): string {
  const address = parseIpAddress(text);
  if (address === undefined) return refuse(`ipam configuration: invalid gateway ${text}`);
  const offset = subnet.offsetOf(address);
  if (offset === undefined) {
    return refuse(`ipam configuration: subnet ${subnet} does not contain gateway ${text}`);
  }
  if (offset !== NODE_ADDRESS_OFFSET && !isTaskOffset(subnet, offset)) {
    refuse(
      `ipam configuration: invalid gateway ${text}: it is the first or last address of ${subnet}`,
    );
  }
  return address;
}

function readRange(subnet: Subnet, text: string): string {
  const range = readSubnet(text, 'range');
  if (!subnet.contains(range)) {
    refuse(`ipam configuration: subnet ${subnet} does not contain range ${text}`);
  }
  return range.toString();
}

function checkFamilies(configs: readonly Config[], hasIpv6: boolean): void {
  const subnets = configs.map(({ Subnet: text }) => Subnet.of(text!));
  for (const [at, subnet] of subnets.entries()) {
    const other = subnets.slice(0, at).find(({ isIpv6 }) => isIpv6 === subnet.isIpv6);
    if (other !== undefined) {
      refuse(
        `IPAM.Config: a network has one subnet of each family, and ${other} and ${subnet} are both ` +
          `${subnet.isIpv6 ? 'IPv6' : 'IPv4'}; use one that is larger, or two networks`,
      );
    }
    if (subnet.isIpv6 && !hasIpv6) {
      refuse(`IPAM.Config: ${subnet} is IPv6: set EnableIPv6 (--ipv6), or remove the subnet`);
    }
  }
}

function readOptions(given: Record<string, string>, hasIpv6: boolean): Record<string, string> {
  for (const [name, value] of Object.entries(given)) {
    if (!OPTIONS.includes(name)) {
      refuse(
        `Options["${name}"]: overlay networks have no such option; they have ${OPTIONS.join(', ')}`,
      );
    }
    if (name === ENCRYPTED_OPTION && !['', 'true', 'false'].includes(value)) {
      refuse(`Options["${name}"]: must be empty, true or false, not "${value}"`);
    }
    const [min, max] =
      name === MTU_OPTION
        ? [hasIpv6 ? MTU_MIN.v6 : MTU_MIN.v4, MTU_MAX_BYTES]
        : [USER_VNI_FIRST, VNI_LAST];
    if (name !== ENCRYPTED_OPTION && !isWithin(value, min, max)) {
      refuse(`Options["${name}"]: must be a whole number from ${min} to ${max}, not "${value}"`);
    }
  }
  return given;
}

function isWithin(text: string, min: number, max: number): boolean {
  return /^[1-9]\d{0,8}$/.test(text) && Number(text) >= min && Number(text) <= max;
}

function refuse(message: string): never {
  throw new ApiError('INVALID_ARGUMENT', message);
}
