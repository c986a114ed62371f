import { type RaftLimits, ReadMode } from '@swarm/raft';
import { Prng, ratio } from '@swarm/sim';
import type { RaftNetworkPlan } from './network.js';

/** Faults of several steps, see plays.ts. */
export const PLAYS = [
  'long-tail',
  'left-behind',
  'late-answers',
  'sleeping-leader',
  'joint-split',
  'late-change',
  'hasty-change',
  'late-write',
] as const;
export type Play = (typeof PLAYS)[number];

/** The faults that can be done to a cluster on purpose. */
export const FAULTS = [
  'crash',
  'crash-step',
  'crash-start',
  'crash-restore',
  'crash-all',
  'pause',
  'clock-jump',
  'disk-stall',
  'disk-full',
  'bit-flip',
  'misdirected-write',
  'files-lost',
  'disk-lost',
  'isolate',
  'bare-quorum',
  'partition',
  'bridge',
  'one-way',
  'clog',
  'transfer',
  'add-member',
  'remove-member',
  'replace-member',
  'demote',
  'rolling-restart',
  'lose-leader',
  'restart-voters',
  ...PLAYS,
] as const;
export type Fault = (typeof FAULTS)[number];

/**
 * One fault: what, when, and to whom (a draw that is resolved against the members of that moment).
 */
export interface FaultAction {
  readonly atMs: number;
  readonly fault: Fault;
  readonly pick: number;
  readonly durationMs: number;
}

/** Everything that is decided before a run begins. With the seed, it determines the run. */
export interface Plan {
  readonly seed: number;
  readonly profile: Profile;
  readonly members: number;
  readonly clients: number;
  readonly keys: number;
  /** Mean pause of a client between two operations. */
  readonly thinkMs: number;
  readonly clientTimeoutMs: number;
  /** The most meaningless bytes in a proposal. */
  readonly paddingBytes: number;
  /** Duration of the faults; then everything heals. */
  readonly faultsMs: number;
  readonly tickMs: number;
  readonly electionTicks: number;
  readonly heartbeatTicks: number;
  readonly commitDelayMs: number;
  readonly limits: Partial<RaftLimits>;
  readonly network: RaftNetworkPlan;
  /** Mean delay after the healing: a cluster must work over slow links too. */
  readonly healedDelayUs: number;
  readonly diskLatencyUs: number;
  /** Size of LevelDB's write buffer; 0: the log is MemoryStorage's. */
  readonly writeBufferBytes: number;
  /**
   * How many writes of a log may be under way. More than 1 exceeds what the product's host does.
   */
  readonly writesInFlight: number;
  readonly stateLatencyUs: number;
  readonly chunkBytes: number;
  /** The most that clocks gain or lose, which members allow for. */
  readonly driftPpm: number;
  readonly readMode: ReadMode;
  /** This member's clock is as slow as allowed and all others as fast; 0: each is random. */
  readonly slowClock: number;
  /** Whether disks may be lost so that no quorum is left. */
  readonly mayLoseQuorum: boolean;
  readonly actions: readonly FaultAction[];
}

export const PROFILES = [
  'mixed',
  'lite',
  'network',
  'storage',
  'membership',
  'snapshots',
  'reads',
  'leases',
  'tails',
  'joint',
  'pipeline',
  'quorum-loss',
  'level',
] as const;
export type Profile = (typeof PROFILES)[number];

/** How often each fault is drawn, relative to the others. */
type Weights = Partial<Record<Fault, number>>;

const NETWORK_FAULTS: Weights = {
  isolate: 4,
  'bare-quorum': 2,
  partition: 4,
  bridge: 3,
  'one-way': 3,
  clog: 6,
};
const PROCESS_FAULTS: Weights = {
  crash: 6,
  'crash-step': 6,
  'crash-start': 2,
  'crash-restore': 3,
  'crash-all': 1,
  pause: 4,
  'clock-jump': 1,
};
const DISK_FAULTS: Weights = {
  'disk-stall': 3,
  'disk-full': 2,
  'bit-flip': 1,
  'misdirected-write': 1,
  'files-lost': 1,
  'disk-lost': 1,
};
const MEMBERSHIP_FAULTS: Weights = {
  transfer: 3,
  'add-member': 3,
  'remove-member': 3,
  'replace-member': 4,
  demote: 2,
  'rolling-restart': 1,
};

function weightsOf(profile: Profile): Weights {
  switch (profile) {
    case 'lite':
      return { crash: 3, 'crash-step': 3, isolate: 2, partition: 2, pause: 1 };
    case 'network':
      return { 'late-answers': 12, ...NETWORK_FAULTS, pause: 2, transfer: 1, crash: 1 };
    case 'storage':
      return { ...PROCESS_FAULTS, ...DISK_FAULTS, isolate: 2 };
    case 'membership':
      return {
        ...MEMBERSHIP_FAULTS,
        'hasty-change': 10,
        crash: 3,
        'crash-step': 2,
        isolate: 2,
        clog: 2,
        partition: 2,
      };
    case 'snapshots':
      return { 'left-behind': 12, isolate: 3, clog: 2, transfer: 1, 'crash-restore': 3, pause: 1 };
    case 'reads':
      return { 'sleeping-leader': 12, clog: 3, isolate: 3, pause: 3, transfer: 2, 'one-way': 2 };
    case 'leases':
      // A leader that is cut off, paused or handed over while others elect another.
      return {
        ...NETWORK_FAULTS,
        pause: 6,
        'clock-jump': 2,
        transfer: 6,
        crash: 6,
        'lose-leader': 10,
        'restart-voters': 16,
        'replace-member': 1,
        demote: 1,
      };
    case 'tails':
      return { 'long-tail': 12, isolate: 3, partition: 3, 'one-way': 3, crash: 1, 'crash-all': 1 };
    case 'joint':
      return { 'joint-split': 12, 'late-change': 12, demote: 3, transfer: 2, crash: 2, clog: 2 };
    case 'pipeline':
      return { 'late-write': 12, 'long-tail': 2, 'disk-stall': 2, 'crash-step': 1 };
    case 'quorum-loss':
      return {
        ...PROCESS_FAULTS,
        'disk-lost': 6,
        'bit-flip': 6,
        'misdirected-write': 2,
        'files-lost': 4,
      };
    case 'level':
      return {
        crash: 8,
        'crash-step': 10,
        'crash-start': 6,
        'crash-all': 2,
        'disk-stall': 1,
        'disk-full': 3,
        'bit-flip': 2,
        'files-lost': 2,
        'rolling-restart': 1,
        isolate: 1,
      };
    case 'mixed':
      return {
        ...NETWORK_FAULTS,
        ...PROCESS_FAULTS,
        ...DISK_FAULTS,
        ...MEMBERSHIP_FAULTS,
        ...Object.fromEntries(PLAYS.map((play) => [play, 1])),
      };
  }
}

/** Mean time from one fault to the next. */
const FAULT_GAP_MS = 900;
/** A fault of this weight is the subject of its profile, and in every plan. */
const MAIN_WEIGHT = 12;
/** Profiles whose faults need elections, which should come sooner. */
const HASTY: readonly Profile[] = ['tails', 'reads', 'snapshots', 'joint', 'pipeline'];
/** Profiles in which a member that was away for a while finds the log compacted. */
const FORGETFUL: readonly Profile[] = ['tails', 'snapshots'];
/** Too large to matter in any run. */
const LARGE_LIMIT = 33_554_432;

/**
 * In some plans links stay so slow after the healing that a read on a follower takes longer than
 * the host waits before it repeats its question: an election timeout is this many mean delays, and
 * this many ticks.
 */
const SLOW_LINKS = 10;
const SLOW_ELECTION_TICKS = 20;
/**
 * Windows wide enough for slow links: otherwise a long log takes longer than we wait. A snapshot is given up
 * only after far more than its pieces and their answers need: begun again each time, it would never arrive.
 */
const SLOW_LIMITS = {
  snapshotTimeoutMs: 20_000,
  readTimeoutMs: 8_000,
  maxBytesPerMessage: 1_000,
  maxInflightMessages: 64,
  maxInflightBytes: 8_388_608,
} as const satisfies Partial<RaftLimits>;

/** Otherwise a snapshot takes longer than a new member has to catch up. */
function withWideTransfer(network: RaftNetworkPlan): RaftNetworkPlan {
  return { ...network, transfer: { ...network.transfer, snapshotWindowBytes: 65_536 } };
}

/** An entry at a time, a new member needs longer for the log. */
const NARROW_LIMITS = { joinTimeoutMs: 120_000 } as const satisfies Partial<RaftLimits>;

/** Reports whether a log goes to a member an entry or two at a time. */
function isNarrow({ maxBytesPerMessage, maxInflightMessages, maxInflightBytes }: Limits): boolean {
  return maxBytesPerMessage <= 100 || maxInflightMessages <= 2 || maxInflightBytes <= 1_000;
}

/** Draws the plan of a seed. */
export function makePlan(seed: number, profile: Profile = 'mixed'): Plan {
  const prng = new Prng(seed, 'plan');
  const lite = profile === 'lite';
  const busy = profile === 'tails' || profile === 'reads' || profile === 'leases';
  const hasty = HASTY.includes(profile);
  const members = prng.pick(sizesOf(profile));
  const faultsMs = prng.between(6_000, lite ? 8_000 : 16_000);
  const tickMs = hasty ? 50 : prng.pick([50, 100, 100]);
  // Leases bring an election timeout of their own.
  const slow = prng.below(profile === 'reads' ? 3 : 8) === 0 && profile !== 'leases';
  const electionTicks = slow ? SLOW_ELECTION_TICKS : prng.between(5, hasty ? 8 : 12);
  const network = makeNetwork(prng, profile, seed);
  const limits = makeLimits(prng, profile);
  const soundUs = Math.min(network.delayUs, 2_000);
  const asBeforeUs = isNarrow(limits) ? soundUs : network.delayUs;
  const slowUs = (tickMs * electionTicks * 1000) / SLOW_LINKS;
  return {
    seed,
    profile,
    members,
    // Many clients leave long tails on a leader that was cut off.
    clients: profile === 'tails' ? prng.between(5, 9) : prng.between(2, 5),
    keys: prng.between(1, 4),
    thinkMs: busy ? 20 : prng.pick([20, 60, 150, 300]),
    clientTimeoutMs: busy ? 500 : prng.pick([500, 2_000, 6_000]),
    paddingBytes: prng.pick([0, 0, 40, 400]),
    faultsMs,
    tickMs,
    electionTicks,
    heartbeatTicks: prng.pick([1, 1, 2]),
    commitDelayMs: prng.pick([0, 10, 10, 60]),
    limits: { ...limits, ...(isNarrow(limits) && NARROW_LIMITS), ...(slow && SLOW_LIMITS) },
    network: slow ? withWideTransfer(network) : network,
    healedDelayUs: slow ? slowUs : prng.pick([asBeforeUs, soundUs, soundUs]),
    diskLatencyUs: prng.pick([50, 500, 3_000, 15_000]),
    writeBufferBytes: makeWriteBuffer(seed, profile),
    writesInFlight: profile === 'pipeline' ? prng.between(2, 4) : prng.pick([1, 1, 1, 1, 1, 2]),
    stateLatencyUs: prng.pick([50, 1_000, 10_000]),
    chunkBytes: prng.pick([7, 64, 4_096]),
    mayLoseQuorum: profile === 'quorum-loss',
    ...makeLeases(seed, profile),
    actions: makeActions(seed, profile, faultsMs),
  };
}

/** Far beyond real clocks: the allowance for drift is then longer than an election takes. */
const WILD_DRIFT_PPM = 200_000;

function makeLeases(
  seed: number,
  profile: Profile,
): Pick<Plan, 'readMode' | 'driftPpm' | 'slowClock'> & Partial<Plan> {
  const prng = new Prng(seed, 'leases');
  if (profile !== 'leases') {
    const readMode = prng.pick([ReadMode.Quorum, ReadMode.Lease]);
    return { readMode, driftPpm: prng.pick([0, 200, 20_000]), slowClock: 0 };
  }
  return {
    readMode: ReadMode.Lease,
    driftPpm: prng.pick([0, 50_000, WILD_DRIFT_PPM, WILD_DRIFT_PPM]),
    slowClock: prng.between(0, 3),
    // Enough members to elect another without the leader, and one key that is always read.
    members: prng.pick([3, 3, 5]),
    keys: 1,
    electionTicks: prng.pick([5, 8, 12, 12]),
    heartbeatTicks: 1,
    // Otherwise elections take longer than any lease that is too long.
    diskLatencyUs: prng.pick([50, 500]),
  };
}

/** The number of members that a cluster starts with. */
function sizesOf(profile: Profile): readonly number[] {
  if (profile === 'lite') return [3];
  if (profile === 'pipeline') return [4, 5];
  return profile === 'joint' ? [2, 3, 4, 5] : [1, 2, 3, 3, 3, 3, 4, 5, 5];
}

type Limits = Partial<RaftLimits> &
  Pick<RaftLimits, 'maxBytesPerMessage' | 'maxInflightMessages' | 'maxInflightBytes'>;

function makeLimits(prng: Prng, profile: Profile): Limits {
  const maxBytesPerMessage = prng.pick([1, 100, 1_000, 262_144]);
  const forgetful = FORGETFUL.includes(profile);
  const often = forgetful || profile === 'level' || prng.below(2) === 0;
  return {
    maxQueuedProposals: prng.pick([1, 4, 16_384]),
    maxInboxMessages: prng.pick([64, 256, 65_536]),
    maxReads: prng.pick([1, 4, 16_384]),
    maxBytesPerMessage,
    maxInflightMessages: prng.pick([1, 2, 8, 256]),
    maxInflightBytes: Math.max(maxBytesPerMessage, prng.pick([1, 500, 8_388_608])),
    maxUncommittedBytes: prng.pick(
      HASTY.includes(profile) ? [LARGE_LIMIT] : [100, 1_000, LARGE_LIMIT],
    ),
    maxApplyBytes: prng.pick([1, 200, 1_048_576]),
    snapshotInterval: often ? prng.between(1, forgetful ? 8 : 40) : prng.between(40, 10_000),
    trailingEntries: prng.pick(forgetful ? [0, 0, 1, 5] : [0, 1, 5, 50]),
    maxSnapshotsSent: prng.between(1, 4),
    snapshotTimeoutMs: prng.between(1_000, 20_000),
    readTimeoutMs: prng.between(500, 5_000),
    quorumLostMs: 5_000,
    joinTimeoutMs: prng.between(30_000, 60_000),
    changeTimeoutMs: prng.between(1_000, 10_000),
  };
}

/** Draws small buffers, so that write-ahead files fill up and tables are made. */
function makeWriteBuffer(seed: number, profile: Profile): number {
  const prng = new Prng(seed, 'write buffer');
  const level = profile === 'level' || prng.below(3) === 0;
  return level ? prng.pick([300, 1_000, 4_000, 40_000]) : 0;
}

function makeNetwork(prng: Prng, profile: Profile, seed: number): RaftNetworkPlan {
  const bad = profile === 'network' || prng.below(2) === 0;
  return {
    delayUs: prng.pick(
      HASTY.includes(profile)
        ? [1_000, 5_000]
        : [100, 1_000, 10_000, profile === 'leases' ? 1_000 : 40_000],
    ),
    loss: bad ? ratio(prng.between(0, 15), 100) : ratio(0, 1),
    duplicate: bad ? ratio(prng.between(0, 10), 100) : ratio(0, 1),
    replay: bad ? ratio(prng.between(0, 5), 100) : ratio(0, 1),
    reorder: prng.below(2) === 0 ? ratio(prng.between(1, 20), 100) : ratio(0, 1),
    chunkLoss: prng.below(2) === 0 ? ratio(prng.between(1, 20), 100) : ratio(0, 1),
    notice: prng.pick([ratio(0, 1), ratio(1, 2), ratio(1, 1)]),
    encode: prng.below(8) === 0,
    ...makeTransfer(new Prng(seed, 'transfer'), profile),
  };
}

type SnapshotPlan = Pick<RaftNetworkPlan, 'transfer'> & Partial<Pick<RaftNetworkPlan, 'chunkLoss'>>;

/**
 * Draws windows of one piece, queues of one, and timeouts shorter or longer than a partition; where
 * snapshots matter, connections that break every few frames.
 */
function makeTransfer(prng: Prng, profile: Profile): SnapshotPlan {
  const often = profile === 'snapshots' && prng.below(4) > 0;
  return {
    transfer: {
      chunkBytes: prng.pick([5, 50, 4_096]),
      chunksWaiting: prng.pick([1, 2, 8]),
      snapshotWindowBytes: prng.pick([1, 100, 65_536]),
      snapshotAliveMs: 500,
      snapshotSilentMs: prng.pick([2_000, 5_000]),
      snapshotKeepMs: prng.pick([200, 3_000, 15_000]),
      snapshotBreaks: prng.pick([2, 32]),
    },
    ...(often && { chunkLoss: ratio(prng.between(2, 20), 100) }),
  };
}

function makeActions(seed: number, profile: Profile, faultsMs: number): FaultAction[] {
  const prng = new Prng(seed, 'actions');
  const weights = weightsOf(profile);
  // A random half of the faults makes some states much more likely than all faults do.
  const chosen = FAULTS.filter((fault) => {
    const weight = weights[fault] ?? 0;
    return weight >= MAIN_WEIGHT || (weight > 0 && prng.below(3) > 0);
  });
  const bag = chosen.flatMap((fault) => new Array<Fault>(weights[fault]!).fill(fault));
  const actions: FaultAction[] = [];
  if (bag.length === 0) return actions;
  const gapMs = prng.pick([FAULT_GAP_MS / 3, FAULT_GAP_MS, 2 * FAULT_GAP_MS]);
  for (let atMs = 300; atMs < faultsMs; atMs += 1 + prng.below(2 * gapMs)) {
    actions.push({
      atMs,
      fault: prng.pick(bag),
      pick: prng.u32(),
      durationMs: prng.pick([50, 400, 1_500, 4_000]) + prng.below(500),
    });
  }
  if (profile === 'mixed') addLeaseFault(seed, faultsMs, actions);
  return actions;
}

/**
 * One plan in four of the profile `mixed` loses a leader as the profile `leases` does. Drawn apart from the
 * other faults: those of a seed are what they were before.
 */
function addLeaseFault(seed: number, faultsMs: number, actions: FaultAction[]): void {
  const prng = new Prng(seed, 'lease faults');
  if (prng.below(4) > 0) return;
  const atMs = prng.between(300, faultsMs - 1);
  const at = actions.findIndex((action) => action.atMs > atMs);
  actions.splice(at < 0 ? actions.length : at, 0, {
    atMs,
    fault: prng.pick(['lose-leader', 'restart-voters']),
    pick: prng.u32(),
    // Long enough to elect another.
    durationMs: prng.pick([1_500, 4_000]) + prng.below(500),
  });
}

/** The most ids in one run. */
export const MAX_IDS = 14;
