import type { Service, UpdateConfig, UpdateStatus } from '@swarm/api';
import { DEFAULT_MONITOR_MS } from './limits.js';
import { toMs } from './time.js';

/** An UpdateConfig with its defaults filled in (SwarmKit api/defaults/service.go). */
export interface UpdateRules {
  /** 0 is all at once. */
  readonly parallelism: number;
  readonly delayMs: number;
  readonly failureAction: 'pause' | 'continue' | 'rollback';
  readonly monitorMs: number;
  /** After the last slot: the monitor time, or a little more than the delay where that is longer. */
  readonly lastMonitorMs: number;
  readonly maxFailureRatio: number;
  readonly order: 'stop-first' | 'start-first';
}

/** The rules that hold for the service now: those of the rollback while it rolls back. */
export function currentRules(service: Service): UpdateRules {
  return updateRules(
    isRollback(service.UpdateStatus)
      ? (service.Spec.RollbackConfig ?? service.Spec.UpdateConfig)
      : service.Spec.UpdateConfig,
  );
}

export function updateRules(config: Partial<UpdateConfig> | undefined): UpdateRules {
  const delayMs = toMs(config?.Delay, 0);
  const monitorMs = toMs(config?.Monitor, DEFAULT_MONITOR_MS);
  return {
    parallelism: config?.Parallelism ?? 1,
    delayMs,
    failureAction: config?.FailureAction ?? 'pause',
    monitorMs,
    lastMonitorMs: delayMs >= monitorMs ? delayMs + 1000 : monitorMs,
    maxFailureRatio: config?.MaxFailureRatio ?? 0,
    order: config?.Order ?? 'stop-first',
  };
}

/** A rollback runs, is paused or has ended. */
export function isRollback(status: UpdateStatus | undefined): boolean {
  return status?.State.startsWith('rollback_') === true;
}

/** The update or rollback waits for the user. */
export function isPaused(service: Service): boolean {
  const state = service.UpdateStatus?.State;
  return state === 'paused' || state === 'rollback_paused';
}

/** An update or rollback goes on. */
export function isUpdating(service: Service): boolean {
  const state = service.UpdateStatus?.State;
  return state === 'updating' || state === 'rollback_started';
}
