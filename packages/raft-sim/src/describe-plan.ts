import type { Plan } from './plan.js';

/** Says what a person needs to know about a plan, in a few lines. */
export function describePlan(plan: Plan): string {
  const { seed, profile, members, clients, keys, faultsMs, network, actions } = plan;
  const chance = ({ part, of }: { part: number; of: number }) => `${part}/${of}`;
  const lines = [
    `seed ${seed}, profile ${profile}: ${members} members, ${clients} clients, ${keys} keys, ` +
      `${faultsMs} ms of faults`,
    `network: delay ${network.delayUs} us, loss ${chance(network.loss)}, ` +
      `duplicates ${chance(network.duplicate)}, reordered ${chance(network.reorder)}`,
    `limits: ${JSON.stringify(plan.limits)}`,
    `${actions.length} faults:`,
    ...actions.map(
      ({ atMs, fault, durationMs, pick }) => `  ${atMs} ms ${fault} for ${durationMs} ms (${pick})`,
    ),
  ];
  return lines.join('\n');
}
