import type { Spent } from './probes.js';

/**
 * Says where a member's main thread spent its time, in percent of the wall clock, and what its disk
 * did.
 */
export function describeSpent(spent: Spent): string {
  const { wallMs, busyMs, coreMs, encodeMs, applyMs, sendMs, receiveMs, clientsMs } = spent;
  const share = (ms: number) => `${((100 * ms) / wallMs).toFixed(0)} %`;
  const rest = busyMs - coreMs - encodeMs - applyMs - sendMs - receiveMs - clientsMs;
  const writes = Math.max(1, spent.writes);
  return [
    `event loop busy ${share(busyMs)}`,
    `core ${share(coreMs)}`,
    `encode for disk ${share(encodeMs)}`,
    `apply ${share(applyMs)}`,
    `send to members ${share(sendMs)}`,
    `take members' frames apart ${share(receiveMs)}`,
    `clients' requests and replies ${share(clientsMs)}`,
    `reading sockets, encoding for members, collection and the rest ${share(rest)}`,
    `all threads ${share(spent.cpuMs)} of a processor`,
    `${((1000 * spent.writes) / wallMs).toFixed(0)} writes/s of ${(spent.entries / writes).toFixed(1)} entries and ${(spent.diskMs / writes).toFixed(2)} ms`,
    `${((1000 * spent.turns) / wallMs).toFixed(0)} turns/s`,
  ].join(', ');
}
