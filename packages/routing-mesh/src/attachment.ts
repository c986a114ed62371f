import {
  type IpAddress,
  isIpv6,
  isPort,
  MTU_MAX_BYTES,
  MTU_MIN_BYTES,
  NETWORK_ADDRESSES_LIMIT,
  parseIpAddress,
  Subnet,
} from '@swarm/api';
import {
  type CheckedAttachment,
  type CheckedOverlay,
  type CheckedTask,
  hostNameOf,
  isProtocol,
} from './checked.js';
import { isWord, type Word } from './kernel/words.js';
import { MAX_ATTACHMENTS, type NetworkId, parseNetworkId, parseTaskId } from './layout.js';
import type { HostPort, NetworkAttachment, OverlayNetwork, TaskAttachment } from './mesh.js';

/** Path of a network namespace. */
export type NetnsPath = Word & { readonly __netns: never };

/** Most name servers of one task. */
const MAX_NAMESERVERS = 16;

/**
 * Checks what runtimes ask for. The path of the namespace is checked where it is used: on nodes whose tasks
 * share the host's network, it does not exist.
 * @throws RangeError
 */
export function readAttachment(task: TaskAttachment): CheckedTask {
  const taskId = parseTaskId(task.taskId) ?? refuse(`${quote(task.taskId)} is not a task id`);
  const { attachments } = task;
  if (!Array.isArray(attachments) || attachments.length === 0) {
    refuse(`task ${taskId} is attached to no network`);
  }
  if (attachments.length > MAX_ATTACHMENTS) {
    refuse(`task ${taskId} is attached to more than ${MAX_ATTACHMENTS} networks`);
  }
  const read = attachments.map((one) => readNetwork(taskId, one));
  const networks = new Set(read.map(({ networkId }) => networkId));
  if (networks.size < read.length) refuse(`task ${taskId} is attached to a network twice`);
  const hostPorts = (task.hostPorts ?? []).map((port): HostPort => {
    const { protocol, publishedPort, targetPort, hostIp } = port;
    if (!isProtocol(protocol) || !isPort(publishedPort) || !isPort(targetPort)) {
      refuse(`task ${taskId} has an invalid host port`);
    }
    if (hostIp === undefined) return { protocol, publishedPort, targetPort };
    const address = parseIpAddress(hostIp);
    if (address === undefined) refuse(`task ${taskId} has a host port at an invalid address`);
    return { protocol, publishedPort, targetPort, hostIp: address };
  });
  const names = new Set((task.names ?? []).flatMap((name) => hostNameOf(name) ?? []));
  const nameservers = (task.nameservers ?? []).map(
    (text) =>
      parseIpAddress(text) ??
      refuse(`task ${taskId} has ${quote(text)} as a name server, which is not an address`),
  );
  if (nameservers.length > MAX_NAMESERVERS) {
    refuse(`task ${taskId} has more than ${MAX_NAMESERVERS} name servers`);
  }
  return {
    taskId,
    netns: task.netns,
    attachments: read,
    hostPorts,
    names: [...names],
    nameservers,
  };
}

function readNetwork(taskId: string, attachment: NetworkAttachment): CheckedAttachment {
  const networkId =
    parseNetworkId(attachment?.networkId) ??
    refuse(
      `task ${taskId} is attached to ${quote(attachment?.networkId)}, which is not a network id`,
    );
  const given: readonly unknown[] = Array.isArray(attachment.addresses) ? attachment.addresses : [];
  if (given.length > NETWORK_ADDRESSES_LIMIT) {
    refuse(`task ${taskId} has more than ${NETWORK_ADDRESSES_LIMIT} addresses on ${networkId}`);
  }
  const [first, ...more] = given.map(
    (text) =>
      readAddress(text) ??
      refuse(
        `task ${taskId} has ${quote(text)} as an address on ${networkId}, which is not an address`,
      ),
  );
  if (first === undefined) return refuse(`task ${taskId} has no address on ${networkId}`);
  if (new Set([first, ...more]).size < given.length) {
    refuse(`task ${taskId} has an address twice on ${networkId}`);
  }
  const overlay =
    attachment.overlay === undefined ? undefined : readOverlay(networkId, attachment.overlay);
  for (const address of [first, ...more]) {
    if (overlay?.subnets.every((subnet) => subnet.offsetOf(address) === undefined))
      refuse(`task ${taskId} has the address ${address}, which is not in its network ${networkId}`);
  }
  return { networkId, overlay, addresses: [first, ...more] };
}

function readOverlay(networkId: NetworkId, overlay: OverlayNetwork): CheckedOverlay {
  const { name, isInternal, isEncrypted, mtuBytes } = overlay;
  const given: readonly unknown[] = Array.isArray(overlay.subnets) ? overlay.subnets : [];
  const subnets = given.map(
    (text) => Subnet.parse(text) ?? refuse(`${quote(text)} is not a subnet of ${networkId}`),
  );
  if (subnets.length === 0) refuse(`network ${networkId} has no subnet`);
  if (new Set(subnets.map(({ isIpv6: isV6 }) => isV6)).size < subnets.length)
    refuse(`network ${networkId} has two subnets of one family`);
  const isSize = Number.isInteger(mtuBytes) && mtuBytes! >= MTU_MIN_BYTES;
  if (mtuBytes !== undefined && !(isSize && mtuBytes <= MTU_MAX_BYTES))
    refuse(
      `network ${networkId} has an MTU that is not within ${MTU_MIN_BYTES} to ${MTU_MAX_BYTES}`,
    );
  return {
    networkId,
    name: String(name),
    subnets,
    isInternal: isInternal === true,
    isEncrypted: isEncrypted === true,
    mtuBytes,
  };
}

/** Parses `10.240.3.7/32`. The length is that of the network, which links do not use. */
function readAddress(text: unknown): IpAddress | undefined {
  if (typeof text !== 'string') return undefined;
  const match = /^([^/]+)\/(\d{1,3})$/.exec(text);
  const address = parseIpAddress(match?.[1]);
  if (match === null || address === undefined) return undefined;
  return Number(match[2]) <= (isIpv6(address) ? 128 : 32) ? address : undefined;
}

/** @throws RangeError if it is not an absolute path of plain names */
export function readNetnsPath(path: unknown): NetnsPath {
  const plain = typeof path === 'string' && path.startsWith('/') && isWord(path);
  if (plain && !path.split('/').includes('..')) return path as NetnsPath;
  throw new RangeError(`mesh: ${quote(path)} is not the path of a network namespace`);
}

function refuse(why: string): never {
  throw new RangeError(`mesh: ${why}`);
}

function quote(value: unknown): string {
  return JSON.stringify(value)?.slice(0, 80) ?? String(value);
}
