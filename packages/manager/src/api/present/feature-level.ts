import { managerLevel } from '../../feature-level/index.js';
import { levelOf } from '../../store/feature-levels.js';
import type { View } from '../../store/store.js';

/** `Swarm.FeatureLevel` of `GET /info`, which Docker does not have. */
export interface PresentedFeatureLevel {
  readonly Current: number;
  /** The highest level that any manager supports. */
  readonly Highest: number;
  /** Managers that do not support the highest level yet. */
  readonly WaitsFor: readonly {
    readonly NodeID: string;
    readonly Hostname: string;
    /** The highest level that it supports; absent until it reports one. */
    readonly Newest?: number;
  }[];
}

/** @returns undefined before the cluster exists */
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
