import { type IpAddress, isIpv6 } from '@swarm/api';
import type { NetnsPath } from '../attachment.js';
import { type Line, line, word } from '../kernel/words.js';
import {
  type NetworkId,
  TASK_GATEWAY,
  TASK_GATEWAY_V6,
  TASK_TABLE_BASE,
  type TaskId,
  taskDeviceName,
  taskLinkName,
  taskMacs,
} from '../layout.js';

/** One link of a task. */
export interface LinkPlan {
  readonly taskId: TaskId;
  readonly networkId: NetworkId;
  readonly netns: NetnsPath;
  /** Position of the network among the task's, from 0. The first has the task's default routes. */
  readonly place: number;
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
  const { taskId, networkId, netns, place, addresses, mtuBytes } = plan;
  const link = taskLinkName(taskId, place);
  const device = taskDeviceName(place);
  const mac = taskMacs(addresses[0]);
  const v4: FamilyCommands = {
    outside: [
      line`link add ${link} address ${mac.host} mtu ${mtuBytes} type veth peer name ${device} address ${mac.task} mtu ${mtuBytes} netns ${netns}`,
      line`link set ${link} addrgenmode none alias ${word(`${taskId}:${networkId}`)} up`,
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
    if (place === 0) continue;
    // Packets from an address of a link after the first leave through that link.
    const rule = line`from ${address} lookup ${TASK_TABLE_BASE + place}`;
    before.push(line`rule del ${rule}`);
    inside.push(line`rule add ${rule}`);
  }
  for (const [{ inside }, gateway, first] of [
    [v4, TASK_GATEWAY, addresses.find((address) => !isIpv6(address))],
    [v6, TASK_GATEWAY_V6, addresses.find(isIpv6)],
  ] as const) {
    if (first === undefined) continue;
    const table = place === 0 ? line`table main` : line`table ${TASK_TABLE_BASE + place}`;
    inside.push(
      line`neigh replace ${gateway} lladdr ${mac.host} dev ${device} nud permanent`,
      line`route replace default via ${gateway} dev ${device} onlink src ${first} ${table}`,
    );
  }
  return { v4, v6 };
}
