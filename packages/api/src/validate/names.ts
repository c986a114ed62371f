import { ApiError } from '../errors.js';

/** Most characters of a service or network name: a DNS label. */
export const DNS_NAME_LIMIT = 63;
/** Most characters of a secret or config name. */
export const OBJECT_NAME_LIMIT = 64;

// SwarmKit's rule, written without nested repetition so that no input makes it slow.
const DNS_NAME = /^[a-zA-Z0-9](?:[-_a-zA-Z0-9]*[a-zA-Z0-9])?$/;
const OBJECT_NAME = /^[a-zA-Z0-9](?:[-_.a-zA-Z0-9]*[a-zA-Z0-9])?$/;

/** Whether a service or network may have this name. */
export function isDnsName(name: string): boolean {
  return name.length <= DNS_NAME_LIMIT && DNS_NAME.test(name);
}

/**
 * The name of a service or network, which tasks also reach by DNS.
 * @throws ApiError INVALID_ARGUMENT
 */
export function checkDnsName(name: string): void {
  if (name === '') throw new ApiError('INVALID_ARGUMENT', 'name must be provided');
  if (name.length > DNS_NAME_LIMIT) {
    throw new ApiError('INVALID_ARGUMENT', `name must be ${DNS_NAME_LIMIT} characters or fewer`);
  }
  if (!DNS_NAME.test(name)) {
    throw new ApiError(
      'INVALID_ARGUMENT',
      `name "${name}" must be valid as a DNS name component: letters, digits, - and _, ` +
        'a letter or digit first and last',
    );
  }
}

/**
 * The name of a secret or config.
 * @throws ApiError INVALID_ARGUMENT
 */
export function checkObjectName(name: string): void {
  if (name !== '' && name.length <= OBJECT_NAME_LIMIT && OBJECT_NAME.test(name)) return;
  throw new ApiError(
    'INVALID_ARGUMENT',
    `invalid name "${name}": it must have 1 to ${OBJECT_NAME_LIMIT} characters of [a-zA-Z0-9-_.], ` +
      'a letter or digit first and last',
  );
}
