import { type IpAddress, shape, type Shape, Subnet } from '@swarm/api/address';
import type { BookMember, BookNetwork, BookService } from './name-book.js';

/** Where tasks ask, as with Docker. */
export const RESOLVER_ADDRESS = '127.0.0.11' as IpAddress;

/**
 * What a node's daemon tells its resolver, one order at a time. Both are of one host, mostly of one version; the
 * resolver reads orders as if they came from anybody.
 */
export type ResolverOrder =
  /** Changes names. Nothing is visible before the last part has come. */
  | { readonly type: 'change'; readonly changes: readonly BookChange[]; readonly isLast: boolean }
  /** Answers a task; keeps open sockets that are in the same namespace. */
  | { readonly type: 'attach'; readonly task: ResolverTask }
  | { readonly type: 'detach'; readonly taskIds: readonly string[] }
  /** Detaches all others. */
  | { readonly type: 'retain'; readonly taskIds: readonly string[] }
  /** Ends the process. */
  | { readonly type: 'end' };

/** A task whose questions the resolver answers. */
export interface ResolverTask {
  readonly taskId: string;
  /** Path of its network namespace. */
  readonly netns: string;
  /** Its overlay networks in its order. */
  readonly networks: readonly {
    readonly networkId: string;
    readonly addresses: readonly IpAddress[];
  }[];
  /** Its own names, in lower case. */
  readonly names: readonly string[];
  /** Asked for other names, from its own namespace; empty: the host's are. */
  readonly nameservers: readonly IpAddress[];
  /** Its networks are all internal. */
  readonly isClosed: boolean;
}

/** A change of what names lead to. */
export type BookChange =
  | { readonly type: 'clear' }
  | {
      readonly type: 'network';
      readonly network: Omit<BookNetwork, 'subnets'> & { readonly subnets: readonly string[] };
    }
  | { readonly type: 'noNetwork'; readonly networkId: string }
  | { readonly type: 'service'; readonly networkId: string; readonly service: BookService }
  | { readonly type: 'noService'; readonly networkId: string; readonly serviceId: string }
  | { readonly type: 'member'; readonly networkId: string; readonly member: BookMember }
  | { readonly type: 'noMember'; readonly networkId: string; readonly taskId: string };

/** What the resolver says first. */
export interface ResolverGreeting {
  /** Version of the program that it runs. */
  readonly version: string;
}

/** The resolver's answer to an order. */
export interface ResolverReply {
  /** Why it could not be done. */
  readonly error?: string;
}

/** Largest frame between the two. */
export const ORDER_LIMIT_BYTES = 4 << 20;
/** Most changes in one order. */
export const CHANGES_LIMIT = 10_000;

const NAME_LIMIT_CHARS = 255;
const NAMES_LIMIT = 2048;
const ADDRESSES_LIMIT = 16;
const NETWORKS_LIMIT = 64;
const PATH_LIMIT_CHARS = 4096;
const TASKS_LIMIT = 100_000;
const NAMESERVERS_LIMIT = 16;

const name = shape.text(NAME_LIMIT_CHARS);
const names = shape.list(name, NAMES_LIMIT);
const addresses = shape.list(shape.ipAddress, ADDRESSES_LIMIT);
const type = <T extends string>(wanted: T) => shape.literal(wanted);

const subnet: Shape<string> = {
  read(value) {
    const read = Subnet.parse(value);
    if (read === undefined) throw new RangeError('an order names an invalid subnet');
    return read.toString();
  },
};

const taskShape = shape.record<ResolverTask>({
  taskId: name,
  netns: shape.text(PATH_LIMIT_CHARS),
  networks: shape.list(shape.record({ networkId: name, addresses }), NETWORKS_LIMIT),
  names,
  nameservers: shape.list(shape.ipAddress, NAMESERVERS_LIMIT),
  isClosed: shape.flag,
});

const changeShape = shape.variants<BookChange>({
  clear: shape.record({ type: type('clear') }),
  network: shape.record({
    type: type('network'),
    network: shape.record({
      networkId: name,
      name,
      subnets: shape.list(subnet, ADDRESSES_LIMIT),
    }),
  }),
  noNetwork: shape.record({ type: type('noNetwork'), networkId: name }),
  service: shape.record({
    type: type('service'),
    networkId: name,
    service: shape.record<BookService>({ serviceId: name, names, vips: addresses }),
  }),
  noService: shape.record({ type: type('noService'), networkId: name, serviceId: name }),
  member: shape.record({
    type: type('member'),
    networkId: name,
    member: shape.record<BookMember>({
      taskId: name,
      serviceId: name,
      names,
      addresses,
      serves: shape.flag,
      isReachable: shape.flag,
    }),
  }),
  noMember: shape.record({ type: type('noMember'), networkId: name, taskId: name }),
});

const taskIds = shape.list(name, TASKS_LIMIT);

export const resolverOrderShape = shape.variants<ResolverOrder>({
  change: shape.record({
    type: type('change'),
    changes: shape.list(changeShape, CHANGES_LIMIT),
    isLast: shape.flag,
  }),
  attach: shape.record({ type: type('attach'), task: taskShape }),
  detach: shape.record({ type: type('detach'), taskIds }),
  retain: shape.record({ type: type('retain'), taskIds }),
  end: shape.record({ type: type('end') }),
});

export const resolverGreetingShape = shape.record<ResolverGreeting>({ version: name });
export const resolverReplyShape = shape.record<ResolverReply>({
  error: shape.optional(shape.text(PATH_LIMIT_CHARS)),
});
