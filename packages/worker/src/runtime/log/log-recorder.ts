import { type FSWatcher, watch } from 'node:fs';
import type { Clock, Timer } from '@swarm/api';
import type { DiskSpace } from './disk-space.js';
import type { TaskLog } from './task-log.js';

/** How often to look at the log of a busy task: the resolution of its timestamps. */
const SAMPLE_MS = 100;
/** Samples without growth after which a task counts as quiet and no longer costs anything. */
const QUIET_SAMPLES = 10;
/** How often to look for a full disk while every task is quiet: a write that fails raises no event. */
const QUIET_DISK_MS = 1_000;

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
  readonly #space: (folder: string) => DiskSpace;
  #isFull = false;
  /** Whether the next tick only looks for a full disk. */
  #isSlow = false;
  #timer: Timer | undefined;

  /**
   * @param space of the disk that holds a folder; all logs are on one
   * @param failed called when a log cannot be looked at or its times cannot be written (disk full)
   */
  constructor(
    clock: Clock,
    space: (folder: string) => DiskSpace,
    failed: (error: unknown) => void,
  ) {
    this.#clock = clock;
    this.#space = space;
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
    const folder = this.#entries.get(log)?.folder;
    this.#remove(log);
    // A program may end because it cannot write.
    if (folder !== undefined) {
      this.#guard(() => log.sample());
      this.#guard(() => log.lookAtDisk(this.#space(folder), true));
    }
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
    if (this.#isSlow) {
      this.#clock.clearTimeout(this.#timer);
      this.#timer = undefined;
    }
    this.#schedule();
  }

  #schedule(): void {
    if (this.#timer !== undefined || this.#entries.size === 0) return;
    this.#isSlow = this.#busy.size === 0;
    const delayMs = this.#isSlow ? QUIET_DISK_MS : SAMPLE_MS;
    this.#timer = this.#clock.setTimeout(() => this.#tick(), delayMs);
  }

  #tick(): void {
    this.#timer = undefined;
    for (const entry of this.#busy) {
      if (this.#guard(() => entry.log.sample())) entry.quietSamples = 0;
      else if (++entry.quietSamples >= QUIET_SAMPLES) this.#setQuiet(entry);
      entry.onChange();
    }
    this.#guard(() => this.#lookAtDisk());
    this.#schedule();
  }

  /** A full disk concerns every log, the quiet ones too: their tasks may be writing in vain. */
  #lookAtDisk(): void {
    const [first] = this.#entries.values();
    if (first === undefined) return;
    const space = this.#space(first.folder);
    if (!space.isFull && !this.#isFull) return;
    this.#isFull = space.isFull;
    for (const { log } of this.#entries.values()) this.#guard(() => log.lookAtDisk(space));
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
