import type { Service, UpdateConfig, UpdateStatus } from '@swarm/api';
import { DEFAULT_MONITOR_MS } from './limits.js';
import { toMs } from './time.js';

/** An UpdateConfig with its defaults filled in (SwarmKit api/defaults/service.go). */
export interface UpdateRules {
  /** 0: all at once. */
  readonly parallelism: number;
  readonly delayMs: number;
  readonly failureAction: 'pause' | 'continue' | 'rollback';
  readonly monitorMs: number;
  /** Monitor time of the last slot; a second more than the delay when the delay is not shorter. */
  readonly lastMonitorMs: number;
  readonly maxFailureRatio: number;
  readonly order: 'stop-first' | 'start-first';
}

/** The rules in force: those of RollbackConfig during a rollback, else those of UpdateConfig. */
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

/** Whether the status is that of a rollback: running, paused or ended. */
export function isRollback(status: UpdateStatus | undefined): boolean {
  return status?.State.startsWith('rollback_') === true;
}

/** Whether the update or rollback waits for the user. */
export function isPaused(service: Service): boolean {
  const state = service.UpdateStatus?.State;
  return state === 'paused' || state === 'rollback_paused';
}

/** Whether an update or rollback is under way. */
export function isUpdating(service: Service): boolean {
  const state = service.UpdateStatus?.State;
  return state === 'updating' || state === 'rollback_started';
}
