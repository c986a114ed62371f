export { AddressBook } from './address-book.js';
export { createAllocator } from './allocator.js';
export { DYNAMIC_PORT_FIRST, DYNAMIC_PORT_LAST } from './port-table.js';
export { writtenEndpoint } from './port-table.js';
export { conflictWith, publishConflict, publishHolder } from './publish-conflict.js';
export { clusterPortRefusal, serviceInTheWay } from './cluster-ports.js';
