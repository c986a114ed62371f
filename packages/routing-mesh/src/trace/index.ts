export type { Packet, PacketFlow, PacketProtocol, TraceHost } from './packet.js';
export { NftRuleset } from './ruleset.js';
export { UnknownNftTextError } from './nft-tokens.js';
export { type TraceFate, type TraceOutcome, PacketTracer } from './tracer.js';
export type { TraceStep } from './world.js';
