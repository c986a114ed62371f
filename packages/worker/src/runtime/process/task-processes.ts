import { pause } from '@swarm/api';
import { RuntimeError } from '../runtime-error.js';
import { findProcesses, sendSignal } from './proc.js';
import type { ProcessHost } from './process-host.js';
import { TASK_ID_VARIABLE } from './process-plan.js';
import type { TaskManifest } from './task-folder.js';

const SIGKILL = 9;
/** Longest wait for processes to die from SIGKILL, and how often to look. */
const KILL_LIMIT_MS = 10_000;
const KILL_POLL_MS = 10;

/** All processes of one task except its supervisor: by cgroup, or else by session and variable. */
export class TaskProcesses {
  readonly #manifest: TaskManifest;
  readonly #host: ProcessHost;
  /**
   * The task's session, as long as its members cannot be strangers: the kernel does not reuse the number while
   * one of them lives, so it means nothing once all were killed.
   */
  #session: number | undefined;
  #supervisor: number | undefined;

  constructor(manifest: TaskManifest, host: ProcessHost) {
    this.#manifest = manifest;
    this.#host = host;
  }

  /**
   * The task was started, or found.
   * @param session undefined if none of its processes is known to live
   */
  begin(session: number | undefined, supervisor: number | undefined): void {
    this.#session = session;
    this.#supervisor = supervisor;
  }

  list(): number[] {
    const { taskId, hasCgroup } = this.#manifest;
    if (hasCgroup) return this.#host.cgroups.processes(taskId);
    return findProcesses(this.#session, `${TASK_ID_VARIABLE}=${taskId}`).filter(
      (pid) => pid !== this.#supervisor,
    );
  }

  /** @throws RuntimeError if some do not die */
  async killAll(): Promise<void> {
    const { clock, cgroups } = this.#host;
    const { taskId, hasCgroup } = this.#manifest;
    if (hasCgroup) {
      await cgroups.killAll(taskId);
      return;
    }
    for (const deadlineMs = clock.monotonicMs() + KILL_LIMIT_MS; ; ) {
      const left = this.list();
      if (left.length === 0) {
        this.#session = undefined;
        return;
      }
      for (const pid of left) sendSignal(pid, SIGKILL);
      if (clock.monotonicMs() > deadlineMs) {
        throw new RuntimeError('failed', `Processes ${left.join(', ')} survive SIGKILL.`);
      }
      await pause(clock, KILL_POLL_MS);
    }
  }
}
