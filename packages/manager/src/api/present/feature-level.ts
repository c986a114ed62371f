import { managerLevel } from '../../feature-level/index.js';
import { levelOf } from '../../store/feature-levels.js';
import type { View } from '../../store/store.js';

/** The `Swarm.FeatureLevel` part of `GET /info`: ours, beside Docker's fields. */
export interface PresentedFeatureLevel {
  readonly Current: number;
  /** The highest that any manager can. */
  readonly Highest: number;
  /** Managers that the level waits for. */
  readonly WaitsFor: readonly {
    readonly NodeID: string;
    readonly Hostname: string;
    /** Absent while it has not said what it can. */
    readonly Newest?: number;
  }[];
}

/** @returns undefined before there is a cluster */
export function presentFeatureLevel(view: View): PresentedFeatureLevel | undefined {
  const cluster = view.cluster();
  if (cluster === undefined) return undefined;
  const Current = levelOf(cluster);
  const managers = [...view.managers()].map(managerLevel);
  const Highest = Math.max(Current, ...managers.map(({ newest }) => newest));
  const behind = managers.filter(({ newest }) => newest < Highest);
  return {
    Current,
    Highest,
    WaitsFor: behind.map(({ nodeId, hostname, newest, isTold }) => ({
      NodeID: nodeId,
      Hostname: hostname,
      ...(isTold && { Newest: newest }),
    })),
  };
}
