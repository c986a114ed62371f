import {
  isJobMode,
  isTerminal,
  modeOf,
  type RevisionCause,
  type RevisionOutcome,
  type Service,
  type ServiceSpec,
} from '@swarm/api';
import type { Draft, Transaction, View } from '../store/store.js';
import { isUp } from './observations.js';
import { specDifference } from './task-dirty.js';
import { formatTime, stateSince } from './time.js';
import { isPaused, isRollback, isUpdating, updateRules } from './update-config.js';

/** Revisions kept of a service, besides the current one and those that a rollback may need. */
export const REVISIONS_KEPT = 10;

/** A revision as it is, or will be, stored. */
export type RevisionDraft = Draft<'revision'>;

export function revisionId(serviceId: string, number: number): string {
  return `${serviceId}-${number}`;
}

/** Whether the id is that of a revision of the service, which may be unreadable. */
export function isRevisionId(id: string, serviceId: string): boolean {
  return id.startsWith(`${serviceId}-`) && /^\d+$/.test(id.slice(serviceId.length + 1));
}

/**
 * The spec that a rollback to the revision gives the service. The number of replicas and the settings of
 * updates and rollbacks belong to the service: they stay as they are now.
 */
export function rolledBackSpec(service: Service, { Spec }: RevisionDraft): ServiceSpec {
  const { Name, Mode, UpdateConfig, RollbackConfig } = service.Spec;
  const { UpdateConfig: _update, RollbackConfig: _rollback, ...rest } = Spec;
  return {
    ...rest,
    Name,
    Mode,
    ...(UpdateConfig !== undefined && { UpdateConfig }),
    ...(RollbackConfig !== undefined && { RollbackConfig }),
  };
}

/**
 * The service as tasks are made from it while its roll-out is paused: what they are made of is that of the
 * revision that completed last.
 * @returns undefined when it is not paused, or has nothing else to make tasks of
 */
export function pausedFallback(view: View, service: Service, nowMs: number): Service | undefined {
  if (!isPaused(service)) return undefined;
  const revision = new RevisionLedger(view, service, nowMs).fallback();
  if (revision === undefined || revision.SpecVersion.Index === service.SpecVersion.Index) {
    return undefined;
  }
  return { ...service, Spec: rolledBackSpec(service, revision), SpecVersion: revision.SpecVersion };
}

/**
 * The revisions of one service, and the changes that one transaction makes to them. A service that has none
 * stored gets them from its spec, its previous spec and its tasks; `write` then stores them.
 */
export class RevisionLedger {
  readonly #view: View;
  readonly #service: Service;
  readonly #nowMs: number;
  readonly #time: string;
  readonly #revisions = new Map<number, RevisionDraft>();
  readonly #changed = new Set<number>();
  #current = 0;
  #completed: number | undefined;
  #last = 0;

  /** @param nowMs time of the store */
  constructor(view: View, service: Service, nowMs: number) {
    this.#view = view;
    this.#service = service;
    this.#nowMs = nowMs;
    this.#time = formatTime(nowMs);
    for (const revision of view.revisionsByService(service.ID)) {
      this.#revisions.set(revision.Number, revision);
      this.#last = Math.max(this.#last, revision.Number);
    }
    const { Revisions: place } = service;
    if (place === undefined) {
      this.#derive();
      return;
    }
    this.#current = place.Current;
    this.#completed = place.Completed;
    this.#last = Math.max(this.#last, place.Last);
    // An unreadable one is neither shown nor written.
    if (!this.#revisions.has(place.Current)) {
      this.#revisions.set(place.Current, this.#draft(place.Current, service, 'update'));
    }
  }

  get current(): RevisionDraft {
    return this.#revisions.get(this.#current) as RevisionDraft;
  }

  /** Newest first. */
  all(): RevisionDraft[] {
    return [...this.#revisions.values()].sort((a, b) => b.Number - a.Number);
  }

  get(number: number): RevisionDraft | undefined {
    return this.#revisions.get(number);
  }

  /**
   * What a rollback without a number goes to: of the revisions other than the current one, the one that
   * completed last; if none ever completed, the newest one that did not fail.
   */
  rollbackTarget(): RevisionDraft | undefined {
    return bestOf(this.all().filter(({ Number: number }) => number !== this.#current));
  }

  /**
   * What a rollback that the cluster makes goes to: as `rollbackTarget`, but only to what gives other tasks. A
   * revision that differs in labels from the one that failed fails alike.
   */
  automaticTarget(): RevisionDraft | undefined {
    const { Index } = this.current.SpecVersion;
    return bestOf(this.all().filter(({ SpecVersion }) => SpecVersion.Index !== Index));
  }

  /** What tasks are made of while the roll-out is paused: of what completed last. */
  fallback(): RevisionDraft | undefined {
    const completed = this.#completed === undefined ? undefined : this.get(this.#completed);
    return completed ?? this.automaticTarget();
  }

  /** Whether the current revision has completed, by what the service and its tasks show. */
  hasCompleted(): boolean {
    const { current } = this;
    if (current.Outcome === 'completed') return true;
    if (isUpdating(this.#service) || isPaused(this.#service)) return false;
    if (this.#service.Revisions === undefined && isStatusCompleted(this.#service)) return true;
    // An update that replaced nothing has no status, nor has the spec that a service was created with; and a
    // status that tolerates every failure proves nothing.
    return hasRun(this.#view, this.#service, this.#nowMs);
  }

  /** Makes the spec the newest revision, in place of the current one. */
  open(spec: ServiceSpec, specVersion: Service['SpecVersion']): void {
    this.#conclude();
    do this.#last++;
    while (this.#view.setAside('revision', revisionId(this.#service.ID, this.#last)) !== undefined);
    this.#current = this.#last;
    this.#put({
      ID: revisionId(this.#service.ID, this.#last),
      ServiceID: this.#service.ID,
      Number: this.#last,
      Spec: spec,
      SpecVersion: specVersion,
      Cause: 'update',
      StartedAt: this.#time,
    });
  }

  /** As `open`, for a spec that differs in what no task has: it goes on where the current one is. */
  succeed(spec: ServiceSpec): void {
    const isDone = this.hasCompleted();
    const { Cause, SpecVersion } = this.current;
    this.open(spec, SpecVersion);
    // It takes over a rollback that is under way.
    const isOpen = isUpdating(this.#service) || isPaused(this.#service);
    if (isOpen) this.#put({ ...this.current, Cause });
    // A job runs again in any case, so how that ends is not known yet.
    if (isDone && !isJobMode(modeOf(spec))) this.complete();
  }

  /** Makes an earlier revision the current one again. */
  reopen(number: number, cause: RevisionCause): void {
    this.#conclude();
    this.#current = number;
    const { Outcome: _outcome, Message: _message, EndedAt: _ended, ...rest } = this.current;
    this.#put({ ...rest, Cause: cause, StartedAt: this.#time });
  }

  /** Records how the current revision's roll-out ended. */
  end(outcome: RevisionOutcome, message?: string): void {
    const { Message: _message, ...rest } = this.current;
    this.#put({
      ...rest,
      Outcome: outcome,
      EndedAt: this.#time,
      ...(message && { Message: message }),
    });
  }

  complete(): void {
    this.end('completed');
    this.#put({ ...this.current, CompletedAt: this.#time });
    this.#completed = this.#current;
  }

  /**
   * Stages the service with what changed of its revisions, and removes those beyond the limit.
   * @param by whether it is a client's change of the spec, or the cluster's own
   */
  write(tx: Transaction, service: Service, by: 'client' | 'cluster'): void {
    const { PreviousSpec: _spec, PreviousSpecVersion: _version, ...rest } = service;
    const Revisions = {
      Current: this.#current,
      ...(this.#completed !== undefined && { Completed: this.#completed }),
      Last: this.#last,
    };
    // First the service: whoever loses a race finds that it has changed, not that a revision exists.
    if (by === 'client') tx.updateSpec('service', { ...rest, Revisions });
    else tx.update('service', { ...rest, Revisions });
    const kept = this.#kept();
    for (const revision of this.#revisions.values()) {
      const { ID, Number: number } = revision;
      const stored = tx.get('revision', ID);
      if (!kept.has(number)) {
        if (stored !== undefined) tx.remove('revision', ID);
      } else if (stored !== undefined) {
        const { Version, CreatedAt, UpdatedAt } = stored;
        if (this.#changed.has(number)) {
          tx.update('revision', { ...revision, Version, CreatedAt, UpdatedAt });
        }
      } else if (this.#changed.has(number) && tx.setAside('revision', ID) === undefined) {
        tx.create('revision', revision);
      }
    }
  }

  /** Takes revisions from what a service below the level has. */
  #derive(): void {
    const { PreviousSpec, PreviousSpecVersion, UpdateStatus, CreatedAt } = this.#service;
    const isBack = isRollback(UpdateStatus);
    if (PreviousSpec !== undefined) {
      this.#last++;
      const SpecVersion = PreviousSpecVersion ?? { Index: 0 };
      const previous = this.#draft(this.#last, { Spec: PreviousSpec, SpecVersion }, 'create');
      const outcome = isBack ? ('replaced' as const) : ('completed' as const);
      this.#put({
        ...previous,
        ...{ Outcome: outcome, EndedAt: CreatedAt },
        ...(!isBack && { CompletedAt: CreatedAt }),
      });
      if (!isBack) this.#completed = this.#last;
    }
    this.#last++;
    this.#current = this.#last;
    const cause = PreviousSpec === undefined ? 'create' : isBack ? 'rollback' : 'update';
    const StartedAt = UpdateStatus?.StartedAt ?? CreatedAt;
    const current = { ...this.#draft(this.#last, this.#service, cause), StartedAt };
    // A rollback goes to a spec that the service had before.
    this.#put({ ...current, ...(isBack && { CompletedAt: CreatedAt }) });
    if (isBack) this.#completed = this.#current;
  }

  #draft(
    number: number,
    { Spec, SpecVersion }: Pick<Service, 'Spec' | 'SpecVersion'>,
    cause: RevisionCause,
  ): RevisionDraft {
    const { ID, CreatedAt } = this.#service;
    return {
      ID: revisionId(ID, number),
      ServiceID: ID,
      Number: number,
      Spec,
      SpecVersion,
      Cause: cause,
      StartedAt: CreatedAt,
    };
  }

  /** Records how far the current revision came, before another takes its place. */
  #conclude(): void {
    if (this.current.Outcome === 'completed') return;
    if (isPaused(this.#service)) this.end('failed', this.#service.UpdateStatus?.Message);
    else if (this.hasCompleted()) this.complete();
    else if (this.current.Outcome === undefined) this.end('replaced');
  }

  #kept(): Set<number> {
    const newest = this.all().slice(0, REVISIONS_KEPT);
    const needed = [
      this.#current,
      this.#completed,
      this.rollbackTarget()?.Number,
      this.automaticTarget()?.Number,
    ];
    return new Set([
      ...newest.map(({ Number: number }) => number),
      ...needed.filter((number) => number !== undefined),
    ]);
  }

  #put(revision: RevisionDraft): void {
    this.#revisions.set(revision.Number, revision);
    this.#changed.add(revision.Number);
  }
}

/** The one that completed last; if none did, the newest one that did not fail. @param revisions newest first */
function bestOf(revisions: readonly RevisionDraft[]): RevisionDraft | undefined {
  const [completed] = revisions
    .filter(({ CompletedAt }) => CompletedAt !== undefined)
    .sort((a, b) => Date.parse(b.CompletedAt ?? '') - Date.parse(a.CompletedAt ?? ''));
  return completed ?? revisions.find(({ Outcome }) => Outcome !== 'failed');
}

function isStatusCompleted({ UpdateStatus }: Service): boolean {
  return UpdateStatus?.State === 'completed' || UpdateStatus?.State === 'rollback_completed';
}

/** Whether the job's current run is over, and some of it ended well. */
function hasFinishedRun(view: View, { ID, JobStatus }: Service): boolean {
  const iteration = JobStatus?.JobIteration.Index ?? 0;
  let completed = 0;
  for (const task of view.tasksByService(ID)) {
    if ((task.JobIteration?.Index ?? 0) !== iteration) continue;
    if (!isTerminal(task.Status.State)) return false;
    if (task.Status.State === 'complete') completed++;
  }
  return completed > 0;
}

/** Whether a task of the service's spec has run for the monitor time, or ended well, or none is wanted. */
function hasRun(view: View, service: Service, nowMs: number): boolean {
  const mode = modeOf(service.Spec);
  if (mode.kind === 'replicated' && mode.replicas === 0) return true;
  if (isJobMode(mode)) return hasFinishedRun(view, service);
  const { monitorMs } = updateRules(service.Spec.UpdateConfig);
  for (const task of view.tasksByService(service.ID)) {
    const isStable = isUp(task) && nowMs - stateSince(task, nowMs) >= monitorMs;
    if (!isStable && task.Status.State !== 'complete') continue;
    if (specDifference(service, task) !== 'other') return true;
  }
  return false;
}
