import { SpecError } from './spec-error.js';

/** Most characters of a task's host name. */
export const HOST_NAME_LIMIT = 63;
const HOST_NAME = /^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$/;

/** Checks the host name of a task, after its placeholders are expanded. @throws SpecError */
export function checkHostName(hostname: string): void {
  if (hostname.length <= HOST_NAME_LIMIT && HOST_NAME.test(hostname)) return;
  throw new SpecError(
    `ContainerSpec.Hostname is "${hostname}", which is not a host name; use at most ${HOST_NAME_LIMIT} letters, digits, dots and dashes.`,
  );
}
