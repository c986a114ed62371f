import type { IpAddress } from '@swarm/api';
import type { Packet } from './packet.js';

/** A rule that matched. */
export interface TraceStep {
  readonly table: string;
  readonly chain: string;
  /** Its place in the chain, from 0. */
  readonly rule: number;
  readonly text: string;
}

/** The packet as it is in one of the cases that chance leaves open. */
export interface World {
  readonly packet: Packet;
  readonly probability: number;
  readonly steps: readonly TraceStep[];
  /** Conntrack zone of the original direction. */
  readonly zone: number;
  /** Name of the limit that its connection gets. */
  readonly timeout?: string;
  readonly dnat?: { readonly address: IpAddress; readonly port: number };
  readonly snat?: IpAddress;
}

export type Ending =
  | { readonly kind: 'accept' }
  | { readonly kind: 'drop' }
  | { readonly kind: 'rejected'; readonly answer: string };

export interface Ended {
  readonly world: World;
  readonly ending: Ending;
}

/** Joins cases in which everything that rules can see is equal, so that draws do not multiply. */
export function merged(worlds: readonly World[]): readonly World[] {
  if (worlds.length < 2) return worlds;
  const byState = new Map<string, World>();
  for (const world of worlds) {
    const { packet, zone, timeout, dnat, snat } = world;
    const { destination, destinationPort, source, mark, flow } = packet;
    const key = JSON.stringify([
      ...[mark, flow.mark, source, destination, destinationPort, zone, timeout, dnat, snat],
    ]);
    const before = byState.get(key);
    if (before === undefined) byState.set(key, world);
    else byState.set(key, { ...before, probability: before.probability + world.probability });
  }
  return [...byState.values()];
}
