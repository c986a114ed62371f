import { type FSWatcher, watch } from 'node:fs';
import type { Clock, Timer } from '@swarm/api';
import type { TaskLog } from './task-log.js';

/** How often to look at the log of a busy task: the resolution of its timestamps. */
const SAMPLE_MS = 100;
/** Samples without growth after which a task counts as quiet and no longer costs anything. */
const QUIET_SAMPLES = 10;

interface Entry {
  readonly log: TaskLog;
  readonly folder: string;
  readonly onChange: () => void;
  quietSamples: number;
  watcher?: FSWatcher;
}

/**
 * Samples the logs of all running tasks. Polls a busy one, because an event for each line would cost the
 * daemon as much as a pipe; leaves a quiet one to inotify.
 */
export class LogRecorder {
  readonly #clock: Clock;
  readonly #entries = new Map<TaskLog, Entry>();
  readonly #busy = new Set<Entry>();
  readonly #failed: (error: unknown) => void;
  #timer: Timer | undefined;

  /** @param failed called when a log cannot be looked at or its times cannot be written (disk full) */
  constructor(clock: Clock, failed: (error: unknown) => void) {
    this.#clock = clock;
    this.#failed = failed;
  }

  /** @param onChange called when any file of the task's folder may have changed */
  add(log: TaskLog, folder: string, onChange: () => void): void {
    const entry: Entry = { log, folder, onChange, quietSamples: 0 };
    this.#entries.set(log, entry);
    this.#setBusy(entry);
  }

  /** Ends the log with a last look, whether it was added or not. */
  end(log: TaskLog): void {
    this.#remove(log);
    this.#guard(() => log.end());
  }

  #remove(log: TaskLog): void {
    const entry = this.#entries.get(log);
    if (entry === undefined) return;
    this.#entries.delete(log);
    this.#busy.delete(entry);
    entry.watcher?.close();
  }

  close(): void {
    for (const log of [...this.#entries.keys()]) {
      this.#remove(log);
      this.#guard(() => {
        log.sample();
        log.flush();
      });
    }
    this.#clock.clearTimeout(this.#timer);
  }

  #setBusy(entry: Entry): void {
    entry.watcher?.close();
    delete entry.watcher;
    entry.quietSamples = 0;
    this.#busy.add(entry);
    this.#timer ??= this.#clock.setTimeout(() => this.#tick(), SAMPLE_MS);
  }

  #tick(): void {
    this.#timer = undefined;
    for (const entry of this.#busy) {
      if (this.#guard(() => entry.log.sample())) entry.quietSamples = 0;
      else if (++entry.quietSamples >= QUIET_SAMPLES) this.#setQuiet(entry);
      entry.onChange();
    }
    if (this.#busy.size > 0) this.#timer = this.#clock.setTimeout(() => this.#tick(), SAMPLE_MS);
  }

  #setQuiet(entry: Entry): void {
    this.#guard(() => entry.log.flush());
    try {
      entry.watcher = watch(entry.folder, { persistent: false }, () => {
        if (!this.#entries.has(entry.log)) return;
        entry.onChange();
        if (this.#entries.has(entry.log)) this.#setBusy(entry);
      });
      entry.watcher.on('error', () => this.#setBusy(entry));
    } catch {
      return; // No inotify watches left on this host: keep polling.
    }
    this.#busy.delete(entry);
    // Written between the last sample and the watch.
    if (this.#guard(() => entry.log.sample())) this.#setBusy(entry);
  }

  /** A failing task log must not fail the daemon. */
  #guard<T>(action: () => T): T | undefined {
    try {
      return action();
    } catch (error) {
      this.#failed(error);
      return undefined;
    }
  }
}
