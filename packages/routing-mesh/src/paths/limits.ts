/** Nodes up to which every pair is looked at all the time; larger clusters take turns. */
export const ALL_PAIRS_LIMIT = 16;

/** How often the probes look at their clock. */
export const TICK_MS = 250;
/**
 * Most probes that begin in a tick. A probe is a small packet and, once that is answered, one of full size: so a
 * node sends at most 32 packets a second, and half of that while all is well.
 */
export const PROBES_PER_TICK = 4;
/** Most answers to others in a second; what comes beyond goes unanswered. */
export const ANSWERS_PER_SECOND = 256;

/** How often a path is looked at that works, or is known not to. */
export const PROBE_INTERVAL_MS = 2000;
/** How often after something was lost, until that means something; and while a path seems to mend. */
export const SUSPECT_INTERVAL_MS = 1000;
/** How long an answer may take. */
export const ANSWER_TIMEOUT_MS = 1000;

/** Packets lost in a row, and the time that they span, from which a path counts as blocked. */
export const LOSSES = 4;
export const LOSSES_SPAN_MS = 5000;
/** The same for a peer that has never answered: its daemon may not be there yet. */
export const FIRST_LOSSES_SPAN_MS = 10_000;
/** Answers to packets of full size in a row after which a path counts as mended. */
export const ANSWERS_TO_MEND = 2;

/** In a large cluster, one pair's turn. All pairs have had theirs after as many turns as there are nodes. */
export const TURN_MS = 160;
/** Turns that a node catches up on when its clock stood still. */
export const TURNS_LIMIT = 4;

/** How long to wait before the port is tried again that another program has. */
export const BIND_RETRY_MS = 15_000;
