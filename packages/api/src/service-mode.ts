import type { ServiceSpec } from './objects/service.js';

/**
 * What a service's mode means, with defaults filled in. `kind` is Docker's word for it in the `mode`
 * filter.
 */
export type Mode =
  | { readonly kind: 'replicated'; readonly replicas: number }
  | { readonly kind: 'global' }
  | {
      readonly kind: 'replicated-job';
      /** Tasks that run at the same time. */
      readonly maxConcurrent: number;
      /** Tasks that have to complete. */
      readonly totalCompletions: number;
    }
  | { readonly kind: 'global-job' };

/** Reads the mode of a service: the one place that knows how Docker's JSON spells it. */
export function modeOf({ Mode: mode }: Pick<ServiceSpec, 'Mode'>): Mode {
  if (mode.Replicated !== undefined) {
    return { kind: 'replicated', replicas: mode.Replicated.Replicas };
  }
  if (mode.ReplicatedJob !== undefined) {
    const { MaxConcurrent: maxConcurrent = 1, TotalCompletions } = mode.ReplicatedJob;
    const totalCompletions = TotalCompletions ?? maxConcurrent;
    return { kind: 'replicated-job', maxConcurrent, totalCompletions };
  }
  return { kind: mode.Global === undefined ? 'global-job' : 'global' };
}

/** Whether the service ends when its tasks have completed. */
export function isJobMode(mode: Mode): boolean {
  return mode.kind === 'replicated-job' || mode.kind === 'global-job';
}
