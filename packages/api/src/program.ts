/** Every whole number from the oldest to the newest. */
export interface VersionWindow {
  readonly Oldest: number;
  readonly Newest: number;
}

/**
 * What a program of the cluster can do. Programs of one cluster may differ while it is upgraded:
 *
 * - **Protocol**: what is said between nodes. Two programs speak the highest number that both have, so
 *   neighbours in version understand each other in both directions.
 * - **FeatureLevel**: what the managers store. `Oldest` is the lowest level of a cluster that the program
 *   runs in, `Newest` the highest: it understands nothing that needs more.
 */
export interface Program {
  readonly Version: string;
  readonly Protocol: VersionWindow;
  readonly FeatureLevel: VersionWindow;
}

/** Defined when a test builds a bundle that plays another version (packages/cli/bundle.mjs). */
declare const SWARM_PROGRAM: Program | undefined;

/**
 * This program. A release that changes a message raises `Protocol.Newest`, one that stores something new
 * raises `FeatureLevel.Newest` (and names it in packages/manager/src/store/feature-levels.ts). `Oldest`
 * follows one behind, once what it stood for is removed.
 */
export const PROGRAM: Program =
  typeof SWARM_PROGRAM === 'undefined'
    ? {
        Version: '0.1.0',
        Protocol: { Oldest: 1, Newest: 2 },
        FeatureLevel: { Oldest: 4, Newest: 5 },
      }
    : SWARM_PROGRAM;

/** Level of a cluster that says none. */
export const FIRST_FEATURE_LEVEL = 1;
/** Largest protocol and feature level that is read from others. */
export const VERSION_LIMIT = 1_000_000;
