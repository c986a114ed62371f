/** Addresses, and what reads and orders messages: for small programs, which start sooner without the rest. */
export * from './values/address.js';
export { Subnet } from './network/subnet.js';
export { PROGRAM } from './program.js';
export { SerialQueue } from './serial-queue.js';
export * as shape from './wire/shape.js';
export type { Shape } from './wire/shape.js';
