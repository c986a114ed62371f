import { MessageType } from './core/message.js';

/** One measured number, or several under one name. Durations in seconds, sizes in bytes. */
export type Metric =
  | {
      readonly kind: 'counter' | 'gauge';
      readonly name: string;
      readonly help: string;
      readonly values: readonly MetricValue[];
    }
  | {
      readonly kind: 'histogram';
      readonly name: string;
      readonly help: string;
      /** Upper bounds, ascending, each with the number of values up to that bound. */
      readonly buckets: readonly (readonly [bound: number, count: number])[];
      readonly sum: number;
      readonly count: number;
    };

export interface MetricValue {
  readonly labels?: Readonly<Record<string, string>>;
  readonly value: number;
}

/** Bounds of latencies in seconds: from a fast disk to one slow enough to cost leadership. */
export const LATENCY_BOUNDS_SECONDS: readonly number[] = [
  0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5,
];

/** Counts durations by size, in fixed memory. */
export class Histogram {
  readonly #counts = new Array<number>(LATENCY_BOUNDS_SECONDS.length).fill(0);
  #sum = 0;
  #count = 0;

  /** @param ms milliseconds, not negative */
  observeMs(ms: number): void {
    const seconds = ms / 1000;
    this.#sum += seconds;
    this.#count++;
    for (let i = 0; i < LATENCY_BOUNDS_SECONDS.length; i++) {
      if (seconds > LATENCY_BOUNDS_SECONDS[i]!) continue;
      this.#counts[i]!++;
      return;
    }
  }

  get count(): number {
    return this.#count;
  }

  read(name: string, help: string): Metric {
    let below = 0;
    const buckets = LATENCY_BOUNDS_SECONDS.map((bound, i) => {
      below += this.#counts[i]!;
      return [bound, below] as const;
    });
    return { kind: 'histogram', name, help, buckets, sum: this.#sum, count: this.#count };
  }
}

/** Counts of a node's work since it was opened. Each costs one addition. */
export class RaftCounters {
  proposals = 0;
  proposalsRefused = 0;
  entriesApplied = 0;
  elections = 0;
  electionsWon = 0;
  leaderChanges = 0;
  messagesDropped = 0;
  snapshotsSent = 0;
  snapshotsFailed = 0;
  snapshotsReceived = 0;
  snapshotsResumed = 0;
  snapshotBytesSent = 0;
  compactions = 0;
  readonly sent = new Array<number>(MESSAGE_KINDS.length).fill(0);
  readonly received = new Array<number>(MESSAGE_KINDS.length).fill(0);
  readonly apply = new Histogram();
  readonly sync = new Histogram();
}

/** Current values, and those that other parts of the node count. */
export interface RaftGauges {
  readonly term: number;
  readonly isLeader: boolean;
  readonly hasLeader: boolean;
  readonly commit: number;
  readonly applied: number;
  readonly firstIndex: number;
  readonly lastIndex: number;
  readonly voters: number;
  readonly learners: number;
  readonly uncommittedBytes: number;
  readonly leaseRemainingMs: number;
  /** Read questions that this leader decided, by what proved that it still led. */
  readonly readsAnswered: { readonly lease: number; readonly quorum: number };
  readonly queues: {
    readonly proposals: number;
    readonly uncommitted: number;
    readonly inbox: number;
    readonly reads: number;
    readonly writes: number;
  };
  readonly proposalsDone: {
    readonly applied: number;
    readonly dropped: number;
    readonly unknown: number;
  };
}

const PREFIX = 'swarm_raft_';
const MESSAGE_KINDS: readonly string[] = kindNames();

/** Every metric of a node, in a fixed order. The README of the package lists them. */
export function readMetrics(counters: RaftCounters, gauges: RaftGauges): readonly Metric[] {
  const { queues, proposalsDone } = gauges;
  return [
    counter(
      'proposals_total',
      'Proposals made to this member, including refused ones.',
      counters.proposals,
    ),
    labelled('proposals_ended_total', 'Proposals by how they ended.', 'outcome', {
      applied: proposalsDone.applied,
      refused: counters.proposalsRefused,
      dropped: proposalsDone.dropped,
      unknown: proposalsDone.unknown,
    }),
    counter(
      'applied_entries_total',
      'Entries given to the state machine.',
      counters.entriesApplied,
    ),
    gauge('commit_index', 'Highest index known to be committed.', gauges.commit),
    gauge('applied_index', 'Highest index applied.', gauges.applied),
    gauge('first_index', 'First index still in the log.', gauges.firstIndex),
    gauge('last_index', 'Last index of the log.', gauges.lastIndex),
    gauge('term', 'Current term.', gauges.term),
    gauge('is_leader', '1 while this member leads.', Number(gauges.isLeader)),
    gauge('has_leader', '1 while this member knows a leader.', Number(gauges.hasLeader)),
    gauge('voters', 'Voters in the configuration, both halves of a joint one.', gauges.voters),
    gauge('learners', 'Learners in the configuration.', gauges.learners),
    gauge(
      'uncommitted_bytes',
      'Data in the log that is not committed yet, bytes.',
      gauges.uncommittedBytes,
    ),
    {
      kind: 'gauge',
      name: `${PREFIX}queue_length`,
      help: 'Waiting items, by queue.',
      values: values('queue', { ...queues }),
    },
    counters.apply.read(
      `${PREFIX}apply_seconds`,
      'Time the state machine took for one batch of entries, seconds.',
    ),
    counters.sync.read(
      `${PREFIX}log_sync_seconds`,
      'Time of one synced write of the log, seconds.',
    ),
    kinds('messages_sent_total', 'Messages given to the transport, by kind.', counters.sent),
    kinds('messages_received_total', 'Messages received, by kind.', counters.received),
    counter(
      'messages_dropped_total',
      'Messages received and dropped because too many waited.',
      counters.messagesDropped,
    ),
    labelled('snapshots_total', 'Snapshots on this member, by outcome.', 'outcome', {
      sent: counters.snapshotsSent,
      failed: counters.snapshotsFailed,
      received: counters.snapshotsReceived,
    }),
    labelled('reads_total', 'Reads that this leader decided, by how.', 'proof', {
      ...gauges.readsAnswered,
    }),
    gauge(
      'lease_remaining_seconds',
      'How long this leader may still serve reads without asking a quorum, seconds.',
      gauges.leaseRemainingMs / 1000,
    ),
    counter(
      'snapshots_resumed_total',
      'Times a snapshot continued over another connection where the receiver was.',
      counters.snapshotsResumed,
    ),
    counter(
      'snapshot_sent_bytes_total',
      'Bytes of snapshots sent, including bytes sent again.',
      counters.snapshotBytesSent,
    ),
    counter('compactions_total', 'Times the log was compacted.', counters.compactions),
    counter(
      'elections_total',
      'Elections that this member began, after pre-votes.',
      counters.elections,
    ),
    counter('elections_won_total', 'Elections that this member won.', counters.electionsWon),
    counter('leader_changes_total', 'Times the known leader changed.', counters.leaderChanges),
  ];
}

/** Renders Prometheus' text format, version 0.0.4. @param labels added to every value */
export function metricsText(
  metrics: readonly Metric[],
  labels: Readonly<Record<string, string>> = {},
): string {
  const lines: string[] = [];
  for (const metric of metrics) {
    const { name, help, kind } = metric;
    lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${kind}`);
    if (metric.kind === 'histogram') {
      for (const [bound, count] of metric.buckets)
        lines.push(`${name}_bucket${braces({ ...labels, le: String(bound) })} ${count}`);
      lines.push(
        `${name}_bucket${braces({ ...labels, le: '+Inf' })} ${metric.count}`,
        `${name}_sum${braces(labels)} ${metric.sum}`,
        `${name}_count${braces(labels)} ${metric.count}`,
      );
      continue;
    }
    for (const { labels: own, value } of metric.values)
      lines.push(`${name}${braces({ ...labels, ...own })} ${value}`);
  }
  return `${lines.join('\n')}\n`;
}

function braces(labels: Readonly<Record<string, string>>): string {
  const parts = Object.entries(labels).map(([name, value]) => {
    const escaped = value.replace(/\\/g, '\\\\').replace(/"/g, '\\"').replace(/\n/g, '\\n');
    return `${name}="${escaped}"`;
  });
  return parts.length === 0 ? '' : `{${parts.join(',')}}`;
}

function counter(name: string, help: string, value: number): Metric {
  return { kind: 'counter', name: PREFIX + name, help, values: [{ value }] };
}

function gauge(name: string, help: string, value: number): Metric {
  return { kind: 'gauge', name: PREFIX + name, help, values: [{ value }] };
}

function labelled(
  name: string,
  help: string,
  label: string,
  counts: Readonly<Record<string, number>>,
): Metric {
  return { kind: 'counter', name: PREFIX + name, help, values: values(label, counts) };
}

function values(label: string, counts: Readonly<Record<string, number>>): MetricValue[] {
  return Object.entries(counts).map(([of, value]) => ({ labels: { [label]: of }, value }));
}

function kinds(name: string, help: string, counts: readonly number[]): Metric {
  const known = MESSAGE_KINDS.flatMap((kind, type) => (kind === '' ? [] : [[kind, counts[type]!]]));
  return labelled(name, help, 'kind', Object.fromEntries(known) as Record<string, number>);
}

/** Names by number: `append_response`. */
function kindNames(): string[] {
  const names: string[] = new Array<string>(Math.max(...Object.values(MessageType)) + 1).fill('');
  for (const [name, type] of Object.entries(MessageType))
    names[type] = name.replace(/(?<=[a-z])(?=[A-Z])/g, '_').toLowerCase();
  return names;
}
