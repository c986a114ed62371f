import { type IpAddress, isIpv6 } from '@swarm/api';
import type { NetnsPath } from '../attachment.js';
import type { CheckedOverlay } from '../checked.js';
import { IPV6_MTU_MIN_BYTES } from '../ingress.js';
import { type Line, line, type Word, word } from '../kernel/words.js';
import {
  type NetworkId,
  parseNetworkId,
  parseTaskId,
  TASK_GATEWAY,
  TASK_GATEWAY_V6,
  TASK_TABLE_BASE,
  type TaskId,
  taskDeviceName,
  taskLinkName,
  taskMacs,
} from '../layout.js';
import type { NetworkTraits } from './task-links.js';

/** One link of a task. */
export interface LinkPlan {
  readonly taskId: TaskId;
  readonly networkId: NetworkId;
  readonly netns: NetnsPath;
  /** Position of the network among the task's, from 0. */
  readonly place: number;
  /** Undefined for the ingress network. */
  readonly overlay: CheckedOverlay | undefined;
  /** The families whose default route in the task leads through it. */
  readonly isGateway: { readonly v4: boolean; readonly v6: boolean };
  readonly addresses: readonly [IpAddress, ...IpAddress[]];
  readonly mtuBytes: number;
}

/** Batches for `ip` of one address family: `ip` parses some addresses only if it is told the family. */
export interface FamilyCommands {
  readonly outside: Line[];
  /** Within the task's namespace. */
  readonly inside: Line[];
  /** Also within it: removes the remains of earlier links, if there are any. */
  readonly before: Line[];
}

/** The commands that make a link. IPv6 comes second: a kernel may lack it. */
export interface LinkCommands {
  readonly v4: FamilyCommands;
  readonly v6: FamilyCommands;
}

/**
 * The commands that make a link: a veth pair, on the host a route to each address, in the task a gateway that
 * is the same everywhere, and permanent neighbour entries on both ends, so there is never a lookup. Each
 * address stands alone (/32, /128): tasks of a network reach each other by routes, not on a shared link.
 *
 * The MACs come from the link's first address; any of them would do (see `taskMacs`).
 */
export function linkCommands(plan: LinkPlan): LinkCommands {
  const { taskId, networkId, netns, place, overlay, isGateway, addresses, mtuBytes } = plan;
  const link = taskLinkName(taskId, place);
  const device = taskDeviceName(place);
  const mac = taskMacs(addresses[0]);
  // A device with smaller packets has no IPv6, and nothing to switch off.
  const mode = mtuBytes < IPV6_MTU_MIN_BYTES ? line`alias` : line`addrgenmode none alias`;
  const v4: FamilyCommands = {
    outside: [
      line`link add ${link} address ${mac.host} mtu ${mtuBytes} type veth peer name ${device} address ${mac.task} mtu ${mtuBytes} netns ${netns}`,
      line`link set ${link} ${mode} ${aliasOf(taskId, networkId, overlay)} up`,
    ],
    inside: [line`link set lo up`, line`link set ${device} up`],
    before: [],
  };
  const v6: FamilyCommands = { outside: [], inside: [], before: [] };
  for (const address of addresses) {
    const { outside, inside, before } = isIpv6(address) ? v6 : v4;
    const alone = isIpv6(address) ? line`${address}/128` : line`${address}/32`;
    outside.push(
      line`neigh replace ${address} lladdr ${mac.task} dev ${link} nud permanent`,
      line`route replace ${alone} dev ${link}`,
    );
    // Nobody else can have the address, so an IPv6 one works at once.
    const how = isIpv6(address) ? line`nodad` : line`scope global`;
    inside.push(line`addr add ${alone} dev ${device} ${how}`);
    if (isIpv6(address) ? isGateway.v6 : isGateway.v4) continue;
    // Packets from an address of another link than that of the default route leave through that link.
    const rule = line`from ${address} lookup ${TASK_TABLE_BASE + place}`;
    before.push(line`rule del ${rule}`);
    inside.push(line`rule add ${rule}`);
  }
  for (const [{ inside }, gateway, isMain, first] of [
    [v4, TASK_GATEWAY, isGateway.v4, addresses.find((address) => !isIpv6(address))],
    [v6, TASK_GATEWAY_V6, isGateway.v6, addresses.find(isIpv6)],
  ] as const) {
    if (first === undefined) continue;
    const way = line`via ${gateway} dev ${device} onlink src ${first}`;
    const own = line`table ${TASK_TABLE_BASE + place}`;
    inside.push(line`neigh replace ${gateway} lladdr ${mac.host} dev ${device} nud permanent`);
    for (const subnet of overlay?.subnets ?? []) {
      if (subnet.isIpv6 !== isIpv6(first)) continue;
      inside.push(line`route replace ${word(`${subnet}`)} ${way} table main`);
      if (!isMain) inside.push(line`route replace ${word(`${subnet}`)} ${way} ${own}`);
    }
    if (isMain) inside.push(line`route replace default ${way} table main`);
    else if (overlay?.isInternal === true)
      inside.push(line`route replace unreachable default ${own}`);
    else inside.push(line`route replace default ${way} ${own}`);
  }
  return { v4, v6 };
}

/** Marks of the alias of a link to an overlay network. */
const OVERLAY = 'o';
const INTERNAL = 'i';
const ENCRYPTED = 'e';

/** `TASK:NETWORK`, and of an overlay network what a restarted daemon has to know of it: `TASK:NETWORK:oi`. */
function aliasOf(taskId: TaskId, networkId: NetworkId, overlay: CheckedOverlay | undefined): Word {
  const traits =
    overlay === undefined
      ? ''
      : `:${OVERLAY}${overlay.isInternal ? INTERNAL : ''}${overlay.isEncrypted ? ENCRYPTED : ''}`;
  return word(`${taskId}:${networkId}${traits}`);
}

/** What the alias of a link says. Links of earlier versions only have the task's id. */
export function readAlias(alias: string | undefined): {
  taskId: TaskId | undefined;
  networkId: NetworkId | undefined;
  traits: NetworkTraits | undefined;
} {
  const [taskId, networkId, traits = ''] = alias?.split(':') ?? [];
  return {
    taskId: parseTaskId(taskId),
    networkId: parseNetworkId(networkId),
    traits: traits.startsWith(OVERLAY)
      ? { isInternal: traits.includes(INTERNAL), isEncrypted: traits.includes(ENCRYPTED) }
      : undefined,
  };
}
