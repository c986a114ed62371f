import type { NodeDescription } from '../objects/node.js';
import { predefinedNetworkOf } from '../network/predefined.js';
import type { TaskSpec } from '../objects/service.js';
import { isHostImage } from '../validate/host-privileges.js';

interface CapabilityWords {
  /** To follow "no node can". */
  readonly what: string;
  /** What a user can do about it. */
  readonly remedy: string;
}

const NOT_FOR_HOST = 'use an image, or remove the field';
const NEEDS_ROOT = 'start a daemon as root, or remove the field';

/**
 * What a runtime can do for a task, and the words that tell the user what a waiting task lacks. Nodes of
 * newer versions may declare more.
 */
const CAPABILITIES = {
  exec: {
    what: 'run commands in tasks that run',
    remedy: 'start a daemon with --runtime docker',
  },
  'host-commands': {
    what: 'run commands of its host',
    remedy: 'use an image other than "host", or start a daemon with --runtime process',
  },
  images: {
    what: 'run images',
    remedy:
      'use the image "host" with a command of the host, or start a daemon with --runtime docker',
  },
  limits: { what: 'limit the resources of tasks', remedy: NEEDS_ROOT },
  'network-bridge': {
    what: "put tasks into the engine's default bridge (network bridge)",
    remedy: 'remove the network: a task without one reaches the outside as well',
  },
  'network-encrypted': {
    what: 'encrypt the traffic of a network (option encrypted)',
    remedy: 'create the network again without --opt encrypted',
  },
  'network-host': {
    what: "put tasks into the host's network (network host)",
    remedy: 'remove the network, or start an engine without --userns-remap',
  },
  'network-none': {
    what: 'give tasks an empty network (network none)',
    remedy: 'start a daemon as root, or remove the network',
  },
  'network-overlay': {
    what: 'attach tasks to a network of the cluster',
    remedy: 'start a daemon as root on a host with nftables, or remove the network',
  },
  rootfs: {
    what: 'give tasks a root file system (ReadOnly, Mounts, Hosts, DNSConfig)',
    remedy: NOT_FOR_HOST,
  },
  'security-profiles': { what: 'apply Privileges', remedy: NOT_FOR_HOST },
  sysctls: { what: 'set Sysctls', remedy: NOT_FOR_HOST },
  terminals: { what: 'give tasks a terminal (TTY, OpenStdin)', remedy: NOT_FOR_HOST },
  'user-namespaces': {
    what: 'map the users of tasks',
    remedy: 'start an engine with --userns-remap',
  },
  users: {
    what: 'change who tasks run as (User, Groups, CapabilityAdd, CapabilityDrop, Ulimits, OomScoreAdj)',
    remedy: NEEDS_ROOT,
  },
} as const satisfies Readonly<Record<string, CapabilityWords>>;

export type RuntimeCapability = keyof typeof CAPABILITIES;

export const RUNTIME_CAPABILITIES = Object.keys(CAPABILITIES) as readonly RuntimeCapability[];

/** How to tell a user that a node lacks this capability. */
export function capabilityWords(capability: RuntimeCapability): CapabilityWords {
  return CAPABILITIES[capability];
}

/**
 * What nodes that speak protocol 1 can do: they may not declare it. By the name of their runtime; nothing else
 * depends on that name. Goes with protocol 1.
 */
const UNDECLARED = new Map<string, readonly RuntimeCapability[]>([
  [
    'docker',
    RUNTIME_CAPABILITIES.filter((word) => word !== 'host-commands' && !word.startsWith('network-')),
  ],
  ['process', ['host-commands', 'limits', 'users']],
]);

/** What a node's runtime can do; a node that reports no runtime is assumed to be capable of everything. */
export function runtimeCapabilities(
  description: Pick<NodeDescription, 'Runtime' | 'RuntimeCapabilities'> | undefined,
): readonly string[] {
  const { Runtime = '', RuntimeCapabilities } = description ?? {};
  return RuntimeCapabilities ?? UNDECLARED.get(Runtime) ?? RUNTIME_CAPABILITIES;
}

/** What a task needs of its node's runtime, as far as its spec says: whether its networks are encrypted, it does not. */
export function neededCapabilities(spec: TaskSpec): ReadonlySet<RuntimeCapability> {
  const container = spec.ContainerSpec;
  if (container === undefined) return new Set();
  const limits = spec.Resources?.Limits;
  const needs: readonly (readonly [capability: RuntimeCapability, isNeeded: boolean])[] = [
    ['host-commands', isHostImage(container.Image)],
    ['images', !isHostImage(container.Image)],
    ['limits', [limits?.MemoryBytes, limits?.NanoCPUs, limits?.Pids].some((one) => (one ?? 0) > 0)],
    [
      'rootfs',
      container.ReadOnly === true ||
        hasItems(container.Mounts) ||
        hasItems(container.Hosts) ||
        Object.values(container.DNSConfig ?? {}).some(hasItems),
    ],
    [
      'security-profiles',
      Object.values(container.Privileges ?? {}).some(
        (value) => value !== null && value !== false && value !== undefined,
      ),
    ],
    ['sysctls', Object.keys(container.Sysctls ?? {}).length > 0],
    ['terminals', container.TTY === true || container.OpenStdin === true],
    [
      'users',
      (container.User ?? '') !== '' ||
        hasItems(container.Groups) ||
        hasItems(container.CapabilityAdd) ||
        hasItems(container.CapabilityDrop) ||
        hasItems(container.Ulimits) ||
        (container.OomScoreAdj ?? 0) !== 0,
    ],
  ];
  const network = predefinedNetworkOf(spec) ?? (hasItems(spec.Networks) ? 'overlay' : undefined);
  return new Set([
    ...needs.flatMap(([capability, isNeeded]) => (isNeeded ? [capability] : [])),
    ...(network === undefined ? [] : ([`network-${network}`] as const)),
  ]);
}

function hasItems(list: readonly unknown[] | null | undefined): boolean {
  return (list?.length ?? 0) > 0;
}
