export * from './core/types.js';
export * from './core/message.js';
export * from './host/state-machine.js';
export * from './storage/storage.js';
export * from './transport/transport.js';
