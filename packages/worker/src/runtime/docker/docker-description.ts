import type { RuntimeCapability } from '@swarm/api';
import type { RuntimeDescription } from '../runtime.js';
import type { EngineInfo } from './engine-types.js';

/** What containers can do on every engine. */
const CAPABILITIES: readonly RuntimeCapability[] = [
  'exec',
  'images',
  'limits',
  'network-none',
  'network-overlay',
  'rootfs',
  'security-profiles',
  'sysctls',
  'terminals',
  'users',
];
/** Options of an engine that maps root in its containers to an unprivileged user of the host. */
const USER_NAMESPACES = /^name=(userns|rootless)(,|$)/;

/**
 * What a node with this engine reports about its runtime.
 * @param hasBridge whether the engine has its default bridge
 */
export function describeEngine(info: EngineInfo, hasBridge: boolean): RuntimeDescription {
  const isMapped = info.SecurityOptions?.some((option) => USER_NAMESPACES.test(option)) === true;
  const capabilities: readonly RuntimeCapability[] = [
    ...CAPABILITIES,
    ...(hasBridge ? (['network-bridge'] as const) : []),
    // An engine that maps users refuses the host's network; that of a rootless one is not the host's.
    isMapped ? 'user-namespaces' : 'network-host',
  ];
  return {
    kind: 'docker',
    hostname: info.Name,
    platform: { Architecture: info.Architecture, OS: info.OSType },
    resources: { NanoCPUs: info.NCPU * 1e9, MemoryBytes: info.MemTotal },
    engineVersion: info.ServerVersion,
    capabilities,
    plugins: Object.entries(info.Plugins ?? {}).flatMap(([Type, names]) =>
      (names ?? []).map((Name) => ({ Type, Name })),
    ),
  };
}
