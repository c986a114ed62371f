import {
  type AttachReply,
  type AttachRequest,
  attachmentNames,
  parseCidr,
  SHORT_CONTAINER_ID_LENGTH,
} from '@swarm/api';
import type { TaskAttachment } from '@swarm/routing-mesh';
import { hostPorts, taskAttachments } from '../runtime/task-ports.js';
import type { SandboxContainerPlan } from '../runtime/docker/sandbox-containers.js';
import { namesDns } from '../runtime/task-names.js';
import type { ContainerWish } from './container-record.js';

/** The host name of a container, as with Docker. */
export function hostnameOf(wish: ContainerWish, containerId: string): string {
  return wish.hostname ?? containerId.slice(0, SHORT_CONTAINER_ID_LENGTH);
}

/** @param name the container's, without a slash */
export function attachRequest(
  wish: ContainerWish,
  containerId: string,
  name: string,
): AttachRequest {
  return {
    ContainerID: containerId,
    Name: name,
    Networks: wish.networks.map(({ id, aliases }) => ({ Target: id, Aliases: aliases })),
    Ports: wish.ports,
  };
}

/** The place for the mesh. */
export function meshAttachment(
  { Task, Networks }: AttachReply,
  wish: ContainerWish,
  netns: string,
): TaskAttachment {
  const byId = new Map(Networks.map((network) => [network.ID, network]));
  const names = attachmentNames(Task);
  return {
    taskId: Task.ID,
    netns,
    attachments: taskAttachments(Task, (id) => byId.get(id)),
    hostPorts: hostPorts(Task),
    names: wish.hostname === undefined ? names : [...names, wish.hostname],
    nameservers: wish.dns.Dns,
  };
}

/** How the container is made that holds the network. */
export function sandboxPlan(
  sandbox: string,
  wish: ContainerWish,
  containerId: string,
  { Task }: AttachReply,
): SandboxContainerPlan {
  const hostname = hostnameOf(wish, containerId);
  const own = (Task.NetworksAttachments ?? []).flatMap(({ Addresses }) =>
    Addresses.flatMap((text) => parseCidr(text)?.address ?? []),
  );
  return {
    name: sandbox,
    hostname,
    ...(wish.domain !== undefined && { domain: wish.domain }),
    networkMode: 'none',
    hostConfig: {
      ExtraHosts: [...own.map((address) => `${hostname}:${address}`), ...wish.hosts],
      Sysctls: wish.sysctls,
      ...namesDns(wish.dns),
    },
  };
}
