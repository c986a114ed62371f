import { ReadMode } from '@swarm/raft';
import { NEVER, type Simplification } from '@swarm/sim';
import type { Plan } from './plan.js';

/** A reliable network, fewer clients, keys and members, default limits. */
export function simplifications(plan: Plan): Simplification<Plan>[] {
  const all: Partial<Plan>[] = [
    { driftPpm: 0 },
    { readMode: ReadMode.Quorum },
    { writesInFlight: 1 },
    { paddingBytes: 0 },
    { keys: 1 },
  ];
  for (let clients = 1; clients < plan.clients; clients++) all.push({ clients });
  for (let members = 1; members < plan.members; members++) all.push({ members });
  const steps: Simplification<Plan>[] = all.map((part) => ({
    simplify: (now) => ({ ...now, ...part }),
  }));
  const soundNetwork = (part: Partial<Plan['network']>): Simplification<Plan> => ({
    simplify: (now) => ({ ...now, network: { ...now.network, ...part } }),
  });
  for (const name of ['loss', 'duplicate', 'replay', 'reorder', 'chunkLoss', 'notice'] as const) {
    steps.push(soundNetwork({ [name]: NEVER }));
  }
  if (plan.network.encode) steps.push(soundNetwork({ encode: false }));
  for (const name of Object.keys(plan.limits)) {
    steps.push({ simplify: (now) => ({ ...now, limits: without(now.limits, name) }) });
  }
  return steps;
}

function without(limits: Plan['limits'], name: string): Plan['limits'] {
  return Object.fromEntries(Object.entries(limits).filter(([key]) => key !== name));
}
