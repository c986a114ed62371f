import type { Task } from '@swarm/api';
import { isUp } from './observations.js';
import type { Pass } from './pass.js';
import { revisionId } from './revisions.js';
import type { Slot } from './slot.js';
import { currentRules, isRollback, isUpdating, type UpdateRules } from './update-config.js';
import { isPast } from './waiting.js';

/** Whether the roll-out goes back to what has completed before. */
export function isKnownGood({ tx, service }: Pass): boolean {
  if (!isRollback(service.UpdateStatus)) return false;
  if (service.Revisions === undefined) return true;
  const current = tx.get('revision', revisionId(service.ID, service.Revisions.Current));
  return current?.CompletedAt !== undefined;
}

/** Whether the slot's task was up for the monitor time, or is healthy by its own check, or has ended. */
export function hasStood(pass: Pass, slot: Slot, rules: UpdateRules): boolean {
  const settledAt = pass.observations.settledAt.get(slot.key);
  if (settledAt === undefined) return false;
  if (slot.target === undefined || pass.observations.failed.has(slot.key)) return true;
  if (isUp(slot.target) && hasHealthCheck(slot.target)) return true;
  return isPast(pass, settledAt + rules.monitorMs);
}

/**
 * Start-first: whether the old task goes on beside its replacement for the monitor time, because no batch of this
 * update has stood yet. So a spec whose tasks start and then fail takes nothing away.
 */
export function isOnTrial(pass: Pass, slot: Slot, target: Task): boolean {
  const { service, observations } = pass;
  if (!isUpdating(service) || observations.hasBatchStood || isKnownGood(pass)) return false;
  const rules = currentRules(service);
  if (rules.failureAction === 'continue' || hasHealthCheck(target)) return false;
  const upSince = observations.upSince(target);
  if (upSince === undefined || !slot.others.some(isUp)) return false;
  return !isPast(pass, upSince + rules.monitorMs);
}

/** With a health check, a task is RUNNING only once it is healthy. */
function hasHealthCheck({ Spec }: Task): boolean {
  const [kind = 'NONE'] = Spec.ContainerSpec?.Healthcheck?.Test ?? [];
  return kind !== 'NONE';
}
