import {
  type AttachReply,
  attachReplyShape,
  ATTACHMENT_NETWORKS_LIMIT,
  ATTACHMENT_PORTS_LIMIT,
  ALIASES_LIMIT,
  NODE_ATTACHMENTS_LIMIT,
  type PortConfig,
  portConfigShape,
  shape,
} from '@swarm/api';

/** A network of the cluster that a container is to join. */
export interface WantedNetwork {
  readonly id: string;
  /** As the user named it: its name, or its id. */
  readonly name: string;
  readonly aliases: readonly string[];
}

/** What a container's sandbox is made from. */
export interface ContainerWish {
  /** At least one; the first has the container's default routes. */
  readonly networks: readonly WantedNetwork[];
  /** Absent: the start of the container's id, as with Docker. */
  readonly hostname?: string;
  readonly domain?: string;
  /** `name:address`, as in the Engine API. */
  readonly hosts: readonly string[];
  readonly dns: {
    readonly Dns: readonly string[];
    readonly DnsSearch: readonly string[];
    readonly DnsOptions: readonly string[];
  };
  /** Of the network namespace. */
  readonly sysctls: Readonly<Record<string, string>>;
  /** Published by this node. */
  readonly ports: readonly PortConfig[];
}

/** What this node keeps of a container that joins networks of the cluster. */
export interface ContainerRecord {
  /** Name of the container that holds its network while it runs; its `NetworkMode` names it. */
  readonly sandbox: string;
  /** Absent while the engine is asked to create it. */
  readonly containerId?: string;
  readonly wish: ContainerWish;
  /** Its place on the networks, from just before it starts until it has ended. */
  readonly place?: AttachReply;
}

/** Longest text of a container's settings: a name, an address, an option. */
const TEXT_LIMIT = 4_096;
/** Most host entries, name servers and sysctls of one container. */
const SETTINGS_LIMIT = 256;

const texts = shape.list(shape.text(TEXT_LIMIT), SETTINGS_LIMIT);

const wishShape = shape.record<ContainerWish>({
  networks: shape.list(
    shape.record<WantedNetwork>({
      id: shape.objectId,
      name: shape.text(TEXT_LIMIT),
      aliases: shape.list(shape.text(TEXT_LIMIT), ALIASES_LIMIT),
    }),
    ATTACHMENT_NETWORKS_LIMIT,
  ),
  hostname: shape.optional(shape.text(TEXT_LIMIT)),
  domain: shape.optional(shape.text(TEXT_LIMIT)),
  hosts: texts,
  dns: shape.record<ContainerWish['dns']>({ Dns: texts, DnsSearch: texts, DnsOptions: texts }),
  sysctls: shape.map(shape.text(TEXT_LIMIT)),
  ports: shape.list(portConfigShape, ATTACHMENT_PORTS_LIMIT),
});

/** Most containers that are kept, running or not. */
export const RECORDS_LIMIT = 4 * NODE_ATTACHMENTS_LIMIT;

export const recordsShape = shape.list(
  shape.record<ContainerRecord>({
    sandbox: shape.text(TEXT_LIMIT),
    containerId: shape.optional(shape.text(TEXT_LIMIT)),
    wish: wishShape,
    place: shape.optional(attachReplyShape),
  }),
  RECORDS_LIMIT,
);
