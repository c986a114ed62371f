import type { TaskSpec } from '../objects/service.js';
import { SpecError } from './spec-error.js';

const DRIVERS: ReadonlySet<string> = new Set(['', 'json-file', 'local']);
const OPTIONS: ReadonlySet<string> = new Set(['max-size', 'max-file']);
const UNIT_BYTES: Readonly<Record<string, number>> = { '': 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30 };

/**
 * How many bytes of each stream's log a command of the host keeps: `max-size` times `max-file` of the log
 * driver's options.
 * @throws SpecError for another driver or option
 */
export function logLimitBytes(spec: Pick<TaskSpec, 'LogDriver'>, defaultBytes: number): number {
  const driver = spec.LogDriver;
  if (!DRIVERS.has(driver?.Name ?? '')) {
    throw new SpecError(
      `LogDriver.Name is "${driver?.Name}"; the process runtime keeps logs in its own files: use json-file or local.`,
    );
  }
  const options = driver?.Options ?? {};
  for (const name of Object.keys(options)) {
    if (!OPTIONS.has(name)) {
      throw new SpecError(
        `LogDriver.Options has "${name}"; only max-size and max-file are supported.`,
      );
    }
  }
  const size = options['max-size'];
  if (size === undefined) return defaultBytes;
  const match = /^(\d+(?:\.\d+)?)([kmg]?)b?$/i.exec(size);
  const files = Number(options['max-file'] ?? 1);
  if (match === null || !Number.isSafeInteger(files) || files < 1) {
    throw new SpecError(
      `LogDriver.Options has max-size "${size}" and max-file "${options['max-file'] ?? 1}"; use a size like 10m and a whole number.`,
    );
  }
  return Number(match[1]) * (UNIT_BYTES[match[2]?.toLowerCase() ?? ''] ?? 1) * files;
}
