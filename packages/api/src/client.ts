/**
 * `@swarm/api/client`: what a client needs of the API. It builds none of the tables that check input from
 * outside: that takes longer than most commands run.
 */
export { backoffMs } from './backoff.js';
export { ERROR_CODE_HEADER } from './errors.js';
export { checkPlace, entryAt } from './host-place.js';
export { MS, SECOND } from './objects/common.js';
export { Subnet } from './network/subnet.js';
export { compareStates, isTerminal } from './task-state.js';
export { HOST_PRIVILEGES, isHostImage } from './validate/host-privileges.js';
export * from './values/address.js';
export * from './values/allow-source.js';
export * from './values/default-paths.js';
export * from './values/idempotency-key.js';
export { ourCommands } from './values/our-commands.js';
export * from './values/firewall-notes.js';
export * from './values/path-notes.js';
export * from './values/place.js';
export * from './values/system-error.js';
export * from './values/text.js';
export { UsageError } from './usage-error.js';
export * from './program.js';
export type * from './index.js';
