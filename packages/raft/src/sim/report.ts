import { Coverage } from './coverage.js';
import type { Plan } from './plan.js';
import type { RunResult } from './simulation.js';

const MS_PER_HOUR = 3_600_000;

/** Adds up runs. */
export class Totals {
  readonly coverage = new Coverage();
  seeds = 0;
  failed = 0;
  events = 0;
  operations = 0;
  undecided = 0;
  virtualMs = 0;

  add(result: RunResult): void {
    this.seeds++;
    if (result.failure !== undefined) this.failed++;
    this.events += result.events;
    this.operations += result.operations;
    this.undecided += result.undecided;
    this.virtualMs += result.virtualMs;
    this.coverage.add(result.coverage);
  }

  /** For example `1200 seeds, 0 failed, 14.2 seeds/s, 9.31 virtual hours (4120 times real time)`. */
  describe(realMs: number): string {
    const perSecond = (this.seeds / realMs) * 1000;
    const hours = this.virtualMs / MS_PER_HOUR;
    return (
      `${this.seeds} seeds, ${this.failed} failed, ${perSecond.toFixed(1)} seeds/s, ` +
      `${hours.toFixed(2)} virtual hours (${Math.round(this.virtualMs / realMs)} times real time)`
    );
  }

  /** Several lines: what was reached, how often, and what never. */
  describeAll(realMs: number): string {
    const { missing } = this.coverage;
    return [
      this.describe(realMs),
      `${this.events} events, ${this.operations} operations of clients, ` +
        `${this.undecided} histories not decided within the limit`,
      'reached (times):',
      this.coverage.describe(),
      missing.length === 0 ? 'every mark was reached' : `never reached: ${missing.join('; ')}`,
    ].join('\n');
  }
}

/** What a person needs to know of a plan, in a few lines. */
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
