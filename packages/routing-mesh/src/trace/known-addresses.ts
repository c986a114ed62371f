import type { IpAddress } from '@swarm/api';
import type { CheckedAttachment, CheckedMember } from '../checked.js';
import { type LinkName, type TaskId, taskLinkName } from '../layout.js';
import type { TracedTask } from './trace-place.js';

/** Links of one task. */
export type TaskLinksByAddress = ReadonlyMap<
  IpAddress,
  { readonly taskId: TaskId; readonly link: LinkName }
>;

export function linksByAddress(
  taskId: TaskId,
  attachments: readonly Pick<CheckedAttachment, 'addresses'>[],
): TaskLinksByAddress {
  return new Map(
    attachments.flatMap(({ addresses }, place) =>
      addresses.map((address) => [address, { taskId, link: taskLinkName(taskId, place) }] as const),
    ),
  );
}

/** Tasks on overlay networks. */
export function membersByAddress(
  members: Iterable<CheckedMember>,
): ReadonlyMap<IpAddress, TracedTask> {
  const found = new Map<IpAddress, TracedTask>();
  for (const { taskId, nodeId, networks } of members) {
    for (const addresses of networks.values())
      for (const address of addresses) found.set(address, { taskId, nodeId });
  }
  return found;
}
