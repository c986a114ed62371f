import type { Service, Task, UpdateState, UpdateStatus } from '@swarm/api';
import type { Pass } from './pass.js';
import { gaveUp, startReplacement } from './replacement.js';
import { newest, type Slot } from './slot.js';
import { formatTime, parseTime, stateSince } from './time.js';
import {
  currentRules,
  isPaused,
  isRollback,
  isUpdating,
  type UpdateRules,
} from './update-config.js';
import { isNotListening, isPast, isServing, isUnschedulable, listenTimeoutMs } from './waiting.js';

/** Stands between the state's own message and what it waits for. */
const WAIT_SEPARATOR = '; ';

/**
 * First half of the updater: counts failures of the running update and acts on them. To be called before
 * anything is restarted.
 * @returns true when the service was paused or rolled back, which ends this pass
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
  if (rules.failureAction === 'continue' || memory.failed.size === 0) return false;
  const pending = slots.filter((slot) => isOutdated(pass, slot) && !memory.touched.has(slot.key));
  const total = memory.touched.size + pending.length;
  if (memory.failed.size / Math.max(1, total) <= rules.maxFailureRatio) return false;
  const taskId = [...memory.failed.values()].at(-1) ?? '';
  failUpdate(pass, rules, taskId);
  return true;
}

/**
 * Second half: starts as many replacements as the rules allow, says what the update waits for, and ends
 * it when every slot is settled and was watched for the monitor time.
 * @param isComplete no slot is missing
 */
export function continueUpdate(pass: Pass, slots: readonly Slot[], isComplete: boolean): void {
  const { service } = pass;
  if (isPaused(service)) return;
  const outdated = slots.filter((slot) => isOutdated(pass, slot) && !isHopeless(pass, slot));
  if (!isUpdating(service)) {
    if (outdated.length > 0 && pass.hasRoom(1)) begin(pass);
    return;
  }
  const rules = currentRules(service);
  const memory = pass.observations;
  // A slot whose replacement was lost with its node is touched, but nothing goes on in it.
  const idle = new Set(outdated);
  const busy = slots.filter(
    (slot) => memory.touched.has(slot.key) && !idle.has(slot) && isBusy(pass, slot, rules),
  );
  let free = rules.parallelism === 0 ? outdated.length : rules.parallelism - busy.length;
  for (const slot of outdated) {
    if (free <= 0) break;
    // A slot that advanced in this pass is not what it was when it was read.
    if (pass.isChanged(slot.key)) continue;
    memory.touched.add(slot.key);
    startReplacement(pass, slot, rules.order);
    free--;
  }
  if (outdated.length > 0 || !isComplete || !isSettled(pass, slots, rules)) {
    const message = waitingFor(pass, slots, rules);
    setMessage(pass, message);
  } else complete(pass);
}

/** One update, told from the next one and from its own rollback. */
function updateKey(service: Service): string {
  return `${service.SpecVersion.Index} ${service.UpdateStatus?.StartedAt ?? ''}`;
}

/** The slot has no task of the present spec, but one that works or has done its work. */
function isOutdated(pass: Pass, slot: Slot): boolean {
  if (slot.target !== undefined) return false;
  if (slot.failed.length > 0 || slot.lost.length > 0) return false;
  if (slot.good.length > 0) return slot.good.every((task) => pass.isDirty(task));
  const last = newest(slot);
  return last !== undefined && last.DesiredState !== 'remove' && pass.isDirty(last);
}

/** A task of the present spec failed here and is not to be tried again. */
function isHopeless(pass: Pass, slot: Slot): boolean {
  return (
    newest(slot)?.SpecVersion.Index === pass.service.SpecVersion.Index && gaveUp(slot, pass.now)
  );
}

/** Tasks that this update made. */
function isOfUpdate(service: Service, task: Task): boolean {
  return (
    task.SpecVersion.Index === service.SpecVersion.Index &&
    parseTime(task.CreatedAt) >= parseTime(service.UpdateStatus?.StartedAt)
  );
}

/** As far as the store tells: the update replaced a task here. A slot that is new does not count. */
function isTouched(pass: Pass, slot: Slot): boolean {
  const { service } = pass;
  return (
    slot.tasks.some((task) => isOfUpdate(service, task)) &&
    slot.tasks.some((task) => !isOfUpdate(service, task))
  );
}

/**
 * A task of this update that ended before it ran, or within the monitor time after it began to run, or
 * that could not be placed for 10 minutes, or that does not listen where the one before it did. Where nobody saw when it began to run (the leader is new), its
 * end counts.
 */
function findFailure(pass: Pass, slot: Slot, rules: UpdateRules): Task | undefined {
  return slot.tasks.find((task) => {
    if (!isOfUpdate(pass.service, task) || task.DesiredState === 'remove') return false;
    if (slot.good.includes(task)) {
      return isUnschedulable(pass, task) || isStepBack(pass, slot, task, rules);
    }
    const { State } = task.Status;
    if (State !== 'failed' && State !== 'rejected' && State !== 'complete') return false;
    const ranSince = pass.observations.runningSince(task);
    return ranSince === undefined || stateSince(task, pass.now) - ranSince <= rules.monitorMs;
  });
}

/**
 * The task does not listen on its ports, while one that it replaces did. Where none ever did, that is how
 * the service is (a standby, a port for later), and no fault of the update.
 */
function isStepBack(pass: Pass, slot: Slot, task: Task, rules: UpdateRules): boolean {
  if (!isNotListening(pass, slot, task, rules)) return false;
  return slot.tasks.some(
    (other) => !isOfUpdate(pass.service, other) && pass.observations.hasListened(other),
  );
}

/** Notes when the slot's worker was done with it; its delay runs from then. */
function settle(pass: Pass, slot: Slot, rules: UpdateRules): void {
  const memory = pass.observations;
  if (!memory.touched.has(slot.key) || memory.settledAt.has(slot.key)) return;
  if (memory.failed.has(slot.key)) memory.settledAt.set(slot.key, pass.now);
  else if (
    slot.target !== undefined &&
    slot.others.length === 0 &&
    isServing(pass, slot, slot.target, rules)
  ) {
    memory.settledAt.set(slot.key, memory.upSince(slot.target) ?? pass.now);
  }
}

/** The slot takes up one of the parallel places: it is being replaced, or its delay is not over. */
function isBusy(pass: Pass, slot: Slot, rules: UpdateRules): boolean {
  const settledAt = pass.observations.settledAt.get(slot.key);
  return settledAt === undefined || !isPast(pass, settledAt + rules.delayMs);
}

/** Every slot that was replaced is settled, the last one for as long as it is to be watched. */
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
  const rollback = isRollback(pass.service.UpdateStatus);
  end(
    pass,
    rollback ? 'rollback_completed' : 'completed',
    rollback ? 'rollback completed' : 'update completed',
  );
}

function end(pass: Pass, state: UpdateState, message: string): void {
  writeStatus(pass, {
    ...pass.service.UpdateStatus,
    State: state,
    CompletedAt: formatTime(pass.now),
    Message: message,
  });
}

/** A rollback that fails is not rolled back: it is paused, and only the user ends that. */
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
  const { PreviousSpec, PreviousSpecVersion, ...rest } = service;
  if (PreviousSpec === undefined) {
    const noWay = 'it can not be rolled back, no previous spec is available';
    pause(pass, 'paused', `update paused ${why}${WAIT_SEPARATOR}${noWay}`);
    return;
  }
  pass.updateService({
    ...rest,
    Spec: PreviousSpec,
    SpecVersion: PreviousSpecVersion ?? { Index: 0 },
    UpdateStatus: {
      State: 'rollback_started',
      StartedAt: formatTime(pass.now),
      Message: `update rolled back ${why}`,
    },
  });
}

function pause(pass: Pass, state: 'paused' | 'rollback_paused', message: string): void {
  writeStatus(pass, { ...pass.service.UpdateStatus, State: state, Message: message });
}

/** What the first slot that stands still waits for. */
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
