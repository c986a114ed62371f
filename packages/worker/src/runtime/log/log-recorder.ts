import { type FSWatcher, watch } from 'node:fs';
import type { Clock, Timer } from '@swarm/api';
import type { TaskLog } from './task-log.js';

/** How often the log of a busy task is looked at: what its timestamps are good to. */
const SAMPLE_MS = 100;
/** Samples without growth after which a task counts as quiet and costs nothing any more. */
const QUIET_SAMPLES = 10;

interface Entry {
  readonly log: TaskLog;
  readonly folder: string;
  readonly onChange: () => void;
  quietSamples: number;
  watcher?: FSWatcher;
}

/**
 * Samples the logs of all running tasks. A busy one is polled, as an event for each line would cost the
 * daemon as much as a pipe; a quiet one is left to inotify.
 */
export class LogRecorder {
  readonly #clock: Clock;
  readonly #entries = new Map<TaskLog, Entry>();
  readonly #busy = new Set<Entry>();
  readonly #failed: (error: unknown) => void;
  #timer: Timer | undefined;

  /** @param failed called when a log could not be looked at or its times not be written (disk full) */
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

  /** Ends the log with a last look, whether or not it was added. */
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
      return; // No inotify watches left on this host: it stays polled.
    }
    this.#busy.delete(entry);
    // What was written between the last sample and the watch.
    if (this.#guard(() => entry.log.sample())) this.#setBusy(entry);
  }

  /** A task's log is no reason for the daemon to fail. */
  #guard<T>(action: () => T): T | undefined {
    try {
      return action();
    } catch (error) {
      this.#failed(error);
      return undefined;
    }
  }
}
