import { RuntimeError } from '../runtime-error.js';
import { causeOf } from './engine-cause.js';
import { type EngineError, hasStatus } from './engine-error.js';

/** The engine does not name our fields; its words tell which one it means. */
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
 * The error for a container that the engine refused to make: the cause first, since lists show only the
 * beginning. A refusal is final; a failure may not happen again.
 */
export function refusal(error: EngineError): RuntimeError {
  const final = hasStatus(error, 400, 403, 404, 406, 409);
  const field = FIELDS.find(([pattern]) => pattern.test(error.message))?.[1];
  const where = field === undefined ? '' : `, see ${field}`;
  return new RuntimeError(
    final ? 'rejected' : 'failed',
    `${causeOf(error.message)} (the engine cannot create the container${where})`,
    { cause: error },
  );
}
