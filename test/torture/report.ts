import type { Verdict } from '@swarm/sim';

/** What a run did and found. */
export interface TortureReport {
  readonly seed: number;
  readonly members: number;
  readonly seconds: number;
  /** The outcomes of all operations, and the kinds of the completed ones. */
  readonly operations: {
    readonly done: number;
    readonly refused: number;
    readonly unknown: number;
    readonly reads: number;
    readonly writes: number;
    readonly cas: number;
  };
  readonly keys: number;
  /** By kind. */
  readonly faults: Readonly<Record<string, number>>;
  /** How many kinds there are. */
  readonly faultKinds: number;
  /** Damaged logs, by outcome. */
  readonly damages: Readonly<Record<string, number>>;
  /** Terms that had a leader. */
  readonly elections: number;
  /** Of the log. */
  readonly entries: number;
  readonly snapshotsInstalled: number;
  readonly membersReplaced: number;
  readonly longestWithoutWriteMs: number;
  readonly interrupted: boolean;
  /** Of the histories; undefined when the run was interrupted, or is not over. */
  readonly verdict: Verdict | undefined;
  readonly problems: readonly string[];
  /** Logs and folders of the members, kept after a problem. */
  readonly folder: string | undefined;
}

export interface Progress extends TortureReport {
  /** The last fault that began. */
  readonly fault: string;
  /** A member's id. */
  readonly leader: number | undefined;
}

/** One line. @param before the progress last reported */
export function describeProgress(now: Progress, before: Progress | undefined): string {
  const done = now.operations.done - (before?.operations.done ?? 0);
  const seconds = now.seconds - (before?.seconds ?? 0);
  const faults = sum(now.faults);
  return [
    `${Math.round(now.seconds)} s`,
    `${Math.round(done / seconds)} operations/s`,
    `${faults} faults (${now.fault})`,
    now.leader === undefined ? 'nobody leads' : `member ${now.leader} leads`,
    `${now.elections} elections`,
    `${now.membersReplaced} replaced`,
  ].join(' · ');
}

export function describeReport(report: TortureReport): string {
  const { operations, faults, damages, problems, folder } = report;
  const lines = [
    `seed ${report.seed}, ${report.members} members, ${report.seconds.toFixed(0)} s`,
    `operations: ${operations.done} done (${operations.reads} reads, ${operations.writes} writes, ` +
      `${operations.cas} compare-and-sets), ${operations.refused} refused, ${operations.unknown} unknown, ` +
      `on ${report.keys} keys; ${report.entries} log entries`,
    `faults: ${sum(faults)}`,
    ...table(faults),
    `damaged logs: ${sum(damages)}`,
    ...table(damages),
    `elections: ${report.elections}; snapshots installed: ${report.snapshotsInstalled}; ` +
      `members replaced: ${report.membersReplaced}`,
    `longest time without an accepted write: ${(report.longestWithoutWriteMs / 1000).toFixed(1)} s`,
    `verdict: ${report.interrupted ? 'interrupted' : (report.verdict ?? 'none')}`,
  ];
  if (problems.length > 0) {
    lines.push(`WRONG (${problems.length}):`, ...problems.map((text) => `  ${text}`));
    lines.push(`folders and logs of the members: ${folder}`);
  }
  return lines.join('\n');
}

function table(counts: Readonly<Record<string, number>>): string[] {
  return Object.entries(counts).map(([name, count]) => `  ${String(count).padStart(5)}  ${name}`);
}

function sum(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((total, count) => total + count, 0);
}
