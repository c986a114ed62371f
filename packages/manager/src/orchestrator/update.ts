import type { Service, Task, UpdateStatus } from '@swarm/api';
import { clusterPortRefusal } from '../allocator/cluster-ports.js';
import type { Pass } from './pass.js';
import { gaveUp, startReplacement } from './replacement.js';
import { allowsRestart } from './restart.js';
import { RevisionLedger, rolledBackSpec } from './revisions.js';
import { isUp } from './observations.js';
import { newest, type Slot } from './slot.js';
import { isMoved } from './stop.js';
import { formatTime, parseTime, stateSince } from './time.js';
import { hasStood, isKnownGood, isOnTrial } from './trial.js';
import {
  currentRules,
  isPaused,
  isRollback,
  isUpdating,
  type UpdateRules,
} from './update-config.js';
import { isNotListening, isPast, isServing, isUnschedulable, listenTimeoutMs } from './waiting.js';

/** Separates the state's own message from what it waits for. */
const WAIT_SEPARATOR = '; ';

/**
 * First half of the updater: counts failures of the running update and acts on them. Call it before
 * restarting anything.
 * @returns true when it paused the update or rolled it back, which ends this pass
 */
export function assessUpdate(pass: Pass, slots: readonly Slot[]): boolean {
  if (!isUpdating(pass.service)) return false;
  const memory = pass.observations;
  memory.openUpdate(updateKey(pass.service));
  const rules = currentRules(pass.service);
  for (const slot of slots) {
    if (isTouched(pass, slot)) memory.touched.add(slot.key);
    const failure = memory.touched.has(slot.key) ? findFailure(pass, slot, rules) : undefined;
    if (failure !== undefined && !memory.failed.has(slot.key)) {
      memory.failed.set(slot.key, failure.ID);
    }
    settle(pass, slot, rules);
  }
  if (rules.parallelism > 0 && !memory.hasBatchStood) {
    const batch = slots.filter((slot) => memory.touched.has(slot.key));
    const stood = batch.filter((slot) => hasStood(pass, slot, rules));
    memory.hasBatchStood = stood.length >= rules.parallelism;
  }
  if (rules.failureAction === 'continue' || memory.failed.size === 0) return false;
  const pending = slots.filter((slot) => isOutdated(pass, slot) && !memory.touched.has(slot.key));
  const total = memory.touched.size + pending.length;
  if (memory.failed.size / Math.max(1, total) <= rules.maxFailureRatio) return false;
  const taskId = [...memory.failed.values()].at(-1) ?? '';
  failUpdate(pass, rules, taskId);
  return true;
}

/**
 * Second half: starts as many replacements as the rules allow, reports what the update waits for, and ends
 * it once every slot has settled and been watched for the monitor time.
 * @param isComplete whether no slot is missing
 */
export function continueUpdate(pass: Pass, slots: readonly Slot[], isComplete: boolean): void {
  const { service } = pass;
  if (isPaused(service)) return;
  const outdated = slots
    .filter((slot) => isOutdated(pass, slot) && !isHopeless(pass, slot))
    .sort((a, b) => Number(isServed(a)) - Number(isServed(b)));
  if (!isUpdating(service)) {
    if (outdated.length > 0 && pass.hasRoom(1)) begin(pass);
    return;
  }
  const rules = currentRules(service);
  const memory = pass.observations;
  // A slot that lost its replacement together with the node is touched, but idle.
  const idle = new Set(outdated);
  const busy = slots.filter(
    (slot) => memory.touched.has(slot.key) && !idle.has(slot) && isBusy(pass, slot, rules),
  );
  let free = rules.parallelism === 0 ? outdated.length : rules.parallelism - busy.length;
  let untouched = untouchedAllowance(pass, slots, rules);
  for (const slot of outdated) {
    // A rollback loses nothing where nothing serves, so it takes all these slots at once.
    const isFree = isRollback(service.UpdateStatus) && !isServed(slot);
    if (free <= 0 && !isFree) break;
    // What this pass read of a slot that it changed is out of date.
    if (pass.isChanged(slot.key)) continue;
    if (!isFree && !memory.touched.has(slot.key) && untouched-- <= 0) continue;
    memory.touched.add(slot.key);
    startReplacement(pass, slot, rules.order);
    free--;
  }
  if (outdated.length > 0 || !isComplete || !isSettled(pass, slots, rules)) {
    const isHeld = untouched <= 0 && outdated.some((slot) => !memory.touched.has(slot.key));
    setMessage(pass, waitingFor(pass, slots, rules) ?? watching(pass, slots, rules, isHeld));
  } else complete(pass);
}

/** Whether a task of the slot is up. Slots without one come first. */
function isServed(slot: Slot): boolean {
  return slot.good.some(isUp);
}

/**
 * How many slots more the update may reach now. Until its first batch has stood, none beyond that batch: so a
 * bad spec costs one batch, not all that fit into the time until its first task fails.
 */
function untouchedAllowance(pass: Pass, slots: readonly Slot[], rules: UpdateRules): number {
  const { touched, hasBatchStood } = pass.observations;
  const { parallelism, failureAction } = rules;
  const isWatched = parallelism > 0 && failureAction !== 'continue' && !isKnownGood(pass);
  if (!isWatched || hasBatchStood) return slots.length;
  return parallelism - slots.filter((slot) => touched.has(slot.key)).length;
}

/** Identifies one update: differs for the next one and for its own rollback. */
function updateKey(service: Service): string {
  return `${service.SpecVersion.Index} ${service.UpdateStatus?.StartedAt ?? ''}`;
}

/** Whether the update still has to reach the slot: all its tasks are dirty, and none failed or is lost. */
function isOutdated(pass: Pass, slot: Slot): boolean {
  if (slot.target !== undefined) return false;
  if (slot.failed.length > 0 || slot.lost.length > 0) return false;
  if (slot.good.length > 0) return slot.good.every((task) => pass.isDirty(task));
  const last = newest(slot);
  return last !== undefined && last.DesiredState !== 'remove' && pass.isDirty(last);
}

/** Whether a task of the current spec ended here and must not be tried again. */
function isHopeless(pass: Pass, slot: Slot): boolean {
  return newest(slot)?.SpecVersion.Index === pass.service.SpecVersion.Index && gaveUp(pass, slot);
}

/** Whether this update made the task. */
function isOfUpdate(service: Service, task: Task): boolean {
  return (
    task.SpecVersion.Index === service.SpecVersion.Index &&
    parseTime(task.CreatedAt) >= parseTime(service.UpdateStatus?.StartedAt)
  );
}

/** Whether the store shows that the update replaced a task here. A new slot does not count. */
function isTouched(pass: Pass, slot: Slot): boolean {
  const { service } = pass;
  return (
    slot.tasks.some((task) => isOfUpdate(service, task)) &&
    slot.tasks.some((task) => !isOfUpdate(service, task))
  );
}

/**
 * Finds a task of this update that ended before it ran or within the monitor time after it started
 * running, that stayed unplaced for 10 minutes, or that does not listen where the one before it did. When
 * this leader did not see it start running, its end counts as a failure.
 */
function findFailure(pass: Pass, slot: Slot, rules: UpdateRules): Task | undefined {
  return slot.tasks.find((task) => {
    if (!isOfUpdate(pass.service, task) || task.DesiredState === 'remove') return false;
    if (slot.good.includes(task)) {
      return isUnschedulable(pass, task) || isStepBack(pass, slot, task, rules);
    }
    const { State } = task.Status;
    if (isMoved(task)) return false;
    if (State !== 'failed' && State !== 'rejected' && !isRunOver(pass, task)) return false;
    const ranSince = pass.observations.runningSince(task);
    return ranSince === undefined || stateSince(task, pass.now) - ranSince <= rules.monitorMs;
  });
}

/** Whether the task ended well though its restart policy wants it to run on. */
function isRunOver(pass: Pass, task: Task): boolean {
  return task.Status.State === 'complete' && allowsRestart(pass, task);
}

/** Whether a task of the update has done its work in the slot: it ended well and is not restarted. */
function isDone(pass: Pass, slot: Slot): boolean {
  const last = newest(slot);
  return (
    last?.Status.State === 'complete' &&
    isOfUpdate(pass.service, last) &&
    !allowsRestart(pass, last)
  );
}

/**
 * Whether the task does not listen on its ports although one that it replaces did. When none ever did,
 * the service is like that (a standby, a port for later), and the update is not at fault.
 */
function isStepBack(pass: Pass, slot: Slot, task: Task, rules: UpdateRules): boolean {
  if (!isNotListening(pass, slot, task, rules)) return false;
  return slot.tasks.some(
    (other) => !isOfUpdate(pass.service, other) && pass.observations.hasListened(other),
  );
}

/** Records when the slot settled; the update delay runs from then. */
function settle(pass: Pass, slot: Slot, rules: UpdateRules): void {
  const memory = pass.observations;
  if (!memory.touched.has(slot.key) || memory.settledAt.has(slot.key)) return;
  if (memory.failed.has(slot.key) || isDone(pass, slot)) memory.settledAt.set(slot.key, pass.now);
  else if (
    slot.target !== undefined &&
    slot.others.length === 0 &&
    isServing(pass, slot, slot.target, rules)
  ) {
    memory.settledAt.set(slot.key, memory.upSince(slot.target) ?? pass.now);
  }
}

/** Whether the slot takes up parallelism: it is being replaced, or its delay is not over. */
function isBusy(pass: Pass, slot: Slot, rules: UpdateRules): boolean {
  const settledAt = pass.observations.settledAt.get(slot.key);
  return settledAt === undefined || !isPast(pass, settledAt + rules.delayMs);
}

/** Whether every replaced slot has settled, and the last one has been watched long enough. */
function isSettled(pass: Pass, slots: readonly Slot[], rules: UpdateRules): boolean {
  const memory = pass.observations;
  let last = 0;
  for (const slot of slots) {
    if (pass.isChanged(slot.key) && !memory.failed.has(slot.key)) return false;
    if (!memory.touched.has(slot.key)) continue;
    const settledAt = memory.settledAt.get(slot.key);
    if (settledAt === undefined) return false;
    last = Math.max(last, settledAt);
  }
  return (
    rules.failureAction === 'continue' || last === 0 || isPast(pass, last + rules.lastMonitorMs)
  );
}

function begin(pass: Pass): void {
  writeStatus(pass, {
    State: 'updating',
    StartedAt: formatTime(pass.now),
    Message: 'update in progress',
  });
}

function complete(pass: Pass): void {
  const { service } = pass;
  const isBack = isRollback(service.UpdateStatus);
  const ended: Service = {
    ...service,
    UpdateStatus: {
      ...service.UpdateStatus,
      State: isBack ? 'rollback_completed' : 'completed',
      CompletedAt: formatTime(pass.now),
      Message: isBack ? 'rollback completed' : 'update completed',
    },
  };
  if (service.Revisions === undefined || !hasProvenItself(pass)) {
    pass.updateService(ended);
    return;
  }
  const ledger = new RevisionLedger(pass.tx, service, pass.now);
  ledger.complete();
  pass.updateRevisions(ledger, ended);
}

/**
 * Whether the update shows that its spec works. One that tolerates every failure does not: whether the cluster
 * may fall back to it is decided by its tasks, when another one takes its place.
 */
function hasProvenItself({ service, observations: { failed, touched } }: Pass): boolean {
  if (currentRules(service).failureAction === 'continue') return false;
  return failed.size === 0 || failed.size < touched.size;
}

/** Takes the failure action. A failed rollback is paused, never rolled back; only the user resumes it. */
function failUpdate(pass: Pass, rules: UpdateRules, taskId: string): void {
  const { service } = pass;
  const failed = pass.tx.get('task', taskId)?.Status;
  const isDeaf = failed?.State === 'running' && failed.Ready === false;
  const note = isDeaf ? `${WAIT_SEPARATOR}it runs but does not listen on its ports` : '';
  const why = `due to failure or early termination of task ${taskId}${note}`;
  if (isRollback(service.UpdateStatus)) {
    pause(pass, 'rollback_paused', `rollback paused ${why}`);
    return;
  }
  if (rules.failureAction !== 'rollback') {
    pause(pass, 'paused', `update paused ${why}`);
    return;
  }
  const back = rolledBack(pass, why);
  if (typeof back === 'string') {
    pause(pass, 'paused', `update paused ${why}${WAIT_SEPARATOR}${back}`);
    return;
  }
  const UpdateStatus: UpdateStatus = {
    State: 'rollback_started',
    StartedAt: formatTime(pass.now),
    Message: `update rolled back ${why}`,
  };
  pass.updateRevisions(back.ledger, { ...back.service, UpdateStatus });
}

/** The service with the spec that it rolls back to; else why there is none. */
function rolledBack(
  { tx, service, now }: Pass,
  why: string,
): { service: Service; ledger: RevisionLedger } | string {
  const ledger = new RevisionLedger(tx, service, now);
  const target = ledger.automaticTarget();
  if (target === undefined) {
    return 'it cannot be rolled back because it has no previous spec';
  }
  const Spec = rolledBackSpec(service, target);
  const refusal = clusterPortRefusal(tx, Spec.EndpointSpec, service.Spec.EndpointSpec);
  if (refusal !== undefined) {
    return `it cannot be rolled back to revision ${target.Number}: ${refusal}`;
  }
  ledger.end('failed', `update rolled back ${why}`);
  ledger.reopen(target.Number, 'automatic rollback');
  return { service: { ...service, Spec, SpecVersion: target.SpecVersion }, ledger };
}

function pause(pass: Pass, state: 'paused' | 'rollback_paused', message: string): void {
  writeStatus(pass, { ...pass.service.UpdateStatus, State: state, Message: message });
}

/** What the first stalled slot waits for. */
function waitingFor(pass: Pass, slots: readonly Slot[], rules: UpdateRules): string | undefined {
  for (const slot of slots) {
    const { target, key } = slot;
    if (target === undefined || !pass.observations.touched.has(key)) continue;
    const { State, Err, Ready } = target.Status;
    if (State === 'running' && Ready === false) {
      const seconds = listenTimeoutMs(pass, slot, target, rules) / 1000;
      return isNotListening(pass, slot, target, rules)
        ? `task ${target.ID} runs but does not listen on its ports after ${seconds}s, going on`
        : `waiting for task ${target.ID} to listen on its ports`;
    }
    if ((State === 'new' || State === 'pending') && Err) {
      return `waiting for task ${target.ID}: ${Err}`;
    }
  }
  return undefined;
}

/**
 * What the update waits for once its tasks are up.
 * @param isHeld whether slots wait for the first batch to stand
 */
function watching(
  pass: Pass,
  slots: readonly Slot[],
  rules: UpdateRules,
  isHeld: boolean,
): string | undefined {
  const { touched, settledAt } = pass.observations;
  const isWatched = ({ key, target }: Slot) =>
    !touched.has(key) || settledAt.has(key) || (target !== undefined && isUp(target));
  if (!slots.every(isWatched)) return undefined;
  const seconds = rules.monitorMs / 1000;
  if (isHeld) return `watching the first tasks for ${seconds}s before the others follow`;
  const isTried = slots.some(
    (slot) => slot.target !== undefined && isOnTrial(pass, slot, slot.target),
  );
  return isTried ? `watching the new tasks for ${seconds}s before the old ones stop` : undefined;
}

function setMessage(pass: Pass, wait: string | undefined): void {
  const status = pass.service.UpdateStatus;
  if (status === undefined) return;
  const [base] = status.Message.split(WAIT_SEPARATOR, 1);
  const message = wait === undefined ? base : `${base}${WAIT_SEPARATOR}${wait}`;
  if (message === undefined || message === status.Message || !pass.hasRoom(1)) return;
  writeStatus(pass, { ...status, Message: message });
}

function writeStatus(pass: Pass, status: UpdateStatus): void {
  pass.updateService({ ...pass.service, UpdateStatus: status });
}
