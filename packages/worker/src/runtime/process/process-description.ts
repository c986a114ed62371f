import { arch, cpus, hostname, totalmem } from 'node:os';
import { PROGRAM, type RuntimeCapability } from '@swarm/api';
import type { RuntimeDescription } from '../runtime.js';

const ARCHITECTURES: Readonly<Record<string, string>> = { x64: 'x86_64', arm64: 'aarch64' };

/** Without root, and what root adds. */
const CAPABILITIES: readonly RuntimeCapability[] = ['host-commands', 'network-host'];
const ROOT_CAPABILITIES: readonly RuntimeCapability[] = [
  'limits',
  'network-none',
  'network-overlay',
  'users',
];

/** What a node that runs plain processes reports about its runtime. */
export function describeHost(privileged: boolean): RuntimeDescription {
  return {
    kind: 'process',
    hostname: hostname(),
    platform: { Architecture: ARCHITECTURES[arch()] ?? arch(), OS: 'linux' },
    resources: { NanoCPUs: cpus().length * 1e9, MemoryBytes: totalmem() },
    engineVersion: PROGRAM.Version,
    capabilities: privileged ? [...CAPABILITIES, ...ROOT_CAPABILITIES] : CAPABILITIES,
  };
}
