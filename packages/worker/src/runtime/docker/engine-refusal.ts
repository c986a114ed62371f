import { RuntimeError } from '../runtime-error.js';
import { type EngineError, hasStatus } from './engine-error.js';

/** The engine names no field of ours; its words tell which it means. */
const FIELDS: readonly (readonly [pattern: RegExp, field: string])[] = [
  [/logging (plugin|driver)|log[- ]opt/i, 'LogDriver'],
  [/bind source|mount/i, 'ContainerSpec.Mounts'],
  [/memory/i, 'Resources.Limits.MemoryBytes'],
  [/CPUs/, 'Resources.Limits.NanoCPUs'],
  [/capabilit/i, 'ContainerSpec.CapabilityAdd or CapabilityDrop'],
  [/sysctl/i, 'ContainerSpec.Sysctls'],
  [/ulimit|rlimit/i, 'ContainerSpec.Ulimits'],
  [/health/i, 'ContainerSpec.Healthcheck'],
  [/dns/i, 'ContainerSpec.DNSConfig'],
  [/seccomp|apparmor|selinux|security/i, 'ContainerSpec.Privileges'],
];

/**
 * What the engine said to a container it does not make. What it refuses is refused for good, what it
 * could not do may work the next time.
 */
export function refusal(error: EngineError): RuntimeError {
  const final = hasStatus(error, 400, 403, 404, 406, 409);
  const field = FIELDS.find(([pattern]) => pattern.test(error.message))?.[1];
  return new RuntimeError(
    final ? 'rejected' : 'failed',
    field === undefined
      ? `The engine can not make the container: ${error.message}`
      : `The engine can not make the container, see ${field}: ${error.message}`,
    { cause: error },
  );
}
