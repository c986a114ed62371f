import type { Counts } from './counts.js';
import type { Measured } from './watch.js';

const MIB = 1024 * 1024;
const SHOWN = 12;

/** The results of a run. */
export interface HostileReport {
  readonly seeds: readonly number[];
  readonly seconds: number;
  readonly messages: number;
  readonly connections: number;
  readonly counts: Counts;
  readonly measured: Measured;
  /** Figures of the clients that only used the cluster. */
  readonly honest: {
    readonly rounds: number;
    readonly requests: number;
    readonly lines: number;
    readonly slowestWriteMs: number;
    readonly slowestRequestMs: number;
  };
  readonly stalledMs: number;
  readonly isInterrupted: boolean;
  readonly problems: readonly string[];
  /** How often each kind of problem occurred. */
  readonly problemCounts: readonly (readonly [string, number])[];
}

export interface Progress {
  readonly seconds: number;
  readonly messages: number;
  readonly connections: number;
  readonly measured: Measured;
}

/** One line. @param before the progress reported last */
export function describeProgress(now: Progress, before: Progress | undefined): string {
  const messages = now.messages - (before?.messages ?? 0);
  const seconds = now.seconds - (before?.seconds ?? 0);
  return [
    `${Math.round(now.seconds)} s`,
    `${now.messages} messages`,
    `${Math.round(messages / seconds)}/s`,
    `${now.connections} connections`,
    `${now.measured.entries} log entries`,
    `${(now.measured.residentMostBytes / MIB).toFixed(0)} MiB`,
  ].join(' · ');
}

export function describeReport(report: HostileReport): string {
  const { counts, measured, honest, problems, problemCounts } = report;
  const lines = [
    `seed ${report.seeds.join(' and ')}: ${report.messages} messages on ${report.connections} connections in ${report.seconds.toFixed(0)} s`,
    `by whom: ${top(counts.by(0))}`,
    `what: ${top(counts.by(1))}`,
    `answered: ${top(counts.by(2))}`,
    `log entries: ${measured.entries}; logged: ${(measured.logBytes / MIB).toFixed(1)} MiB; heap grown by ${(measured.heapGrowthBytes / MIB).toFixed(1)} MiB; ` +
      `resident ${(measured.residentMostBytes / MIB).toFixed(0)} MiB at most`,
    `meanwhile: ${honest.rounds} rounds of an honest client (slowest step ${honest.slowestWriteMs.toFixed(0)} ms), ${honest.requests} requests to the service ` +
      `(slowest ${honest.slowestRequestMs.toFixed(0)} ms), ${honest.lines} lines of its log, the leader's slowest answer ${measured.leaderSlowestMs.toFixed(0)} ms; the machine stood still for ${report.stalledMs.toFixed(0)} ms` +
      (measured.elections === 0 ? '' : `; ${measured.elections} elections, as it was overloaded`),
  ];
  if (report.isInterrupted) lines.push('interrupted');
  if (problems.length === 0) lines.push('no problem');
  else {
    lines.push(
      `WRONG (${problems.length} shown):`,
      ...problems.map((text) => `  ${text.replaceAll('\n', '\n  ')}`),
    );
    lines.push(
      'kinds:',
      ...problemCounts.map(([kind, count]) => `  ${String(count).padStart(6)}  ${kind}`),
    );
  }
  return lines.join('\n');
}

function top(sums: Readonly<Record<string, number>>): string {
  const all = Object.entries(sums).sort(([, a], [, b]) => b - a);
  const shown = all.slice(0, SHOWN).map(([name, count]) => `${name} ${count}`);
  return all.length > SHOWN
    ? `${shown.join(', ')}, and ${all.length - SHOWN} more`
    : shown.join(', ');
}
