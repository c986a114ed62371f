/** The codecs of the wire. Separate from `@swarm/api`, so that clients do not load MessagePack. */
export * from './agent-codec.js';
export * from './assigned-kinds.js';
export { ASSIGNED_LIMIT, type UnreadAssignment } from './assignments-codec.js';
export * from './malformed.js';
export * from './manager-codec.js';
export * from './msgpack.js';
export * from './protocols.js';
