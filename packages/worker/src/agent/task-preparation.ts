import type { PortConfig, Task } from '@swarm/api';
import { sandboxSpec } from '../runtime/sandbox.js';
import { hostPublished, isOnOverlay, withHostPorts } from '../runtime/task-ports.js';
import { STEP_NAMED_AFTER_MS } from './limits.js';
import type { ObservedTask } from './observed-task.js';
import { aborted } from './signal.js';
import type { TaskHost } from './task-host.js';
import { attachedSandbox, sandboxAttachment } from './task-sandbox.js';
import type { StatusChange } from './task-status.js';

export const PREPARING = 'preparing its sandbox, network and files';

/** Gives one task what it starts from: sandbox, network, files. Says what it waits for. */
export class TaskPreparation {
  readonly #observed: ObservedTask;
  readonly #host: TaskHost;
  /** Its network stands, with the ports of its status. */
  #isAttached: boolean;

  constructor(observed: ObservedTask, host: TaskHost) {
    this.#observed = observed;
    this.#host = host;
    this.#isAttached = observed.isPrepared;
  }

  /** Prepares a task that the runtime may not have. Leaves `isPrepared` false when it is no longer wanted. */
  async prepare(): Promise<void> {
    if (!this.#observed.isPrepared) await this.#untilAuthKnown();
    await this.prepareAgain();
  }

  /** The same with the credentials that it was prepared with before. */
  async prepareAgain(): Promise<void> {
    await this.#untilNeedsMet();
    await this.#untilNothingIsLeft();
    await this.attach();
  }

  /** A task from disk has to pull with credentials that come again with the session. */
  async #untilAuthKnown(): Promise<void> {
    const { unwanted: signal } = this.#observed;
    if (!this.#observed.isAuthWithheld || signal.aborted) return;
    this.#observed.set({ Message: 'waiting for a manager to send its registry credentials again' });
    while (this.#observed.isAuthWithheld && !signal.aborted) {
      await Promise.race([this.#observed.news(), aborted(signal)]);
    }
  }

  /** Waits for tasks that had to stop while this node reached no manager. */
  async #untilNothingIsLeft(): Promise<void> {
    const { unwanted: signal } = this.#observed;
    for (;;) {
      const wait = this.#host.leftovers.wait();
      if (wait === undefined || signal.aborted) return;
      if (this.#observed.status.Message !== wait.message)
        this.#observed.set({ Message: wait.message });
      await Promise.race([wait.news, aborted(signal)]);
    }
  }

  /** Waits for what the task needs: after a restart of the daemon, secrets come with the next session. */
  async #untilNeedsMet(): Promise<void> {
    const { unwanted: signal } = this.#observed;
    for (;;) {
      const missing = this.#host.needs.missing(this.#observed.task);
      if (missing === undefined || signal.aborted) return;
      if (this.#observed.status.Message !== missing.message)
        this.#observed.set({ Message: missing.message });
      await Promise.race([missing.news, this.#observed.news(), aborted(signal)]);
    }
  }

  /** Has the runtime prepare the task. One that is prepared already is only attached and needs no objects. */
  async attach(): Promise<void> {
    const { runtime, mesh } = this.#host;
    const { unwanted: signal } = this.#observed;
    if ((this.#observed.task.NetworksAttachments?.length ?? 0) > 0 && !this.#host.meshRunning()) {
      this.#observed.say("waiting for the node's place in the routing mesh");
      await Promise.race([this.#host.meshStarted(), aborted(signal)]);
    }
    // Its own names, and the ways back to it, are there before its first instruction.
    if (isOnOverlay(this.#observed.task))
      await Promise.race([this.#host.meshNames(this.#observed.task.ID), aborted(signal)]);
    const leave = await this.turn(PREPARING);
    if (leave === undefined) return;
    try {
      // What it waited for is here.
      if (this.#observed.status.Message.startsWith('waiting ')) this.#observed.say(PREPARING);
      const node = this.#host.node();
      const objects = this.#host.needs.of(this.#observed.task);
      // A chosen port that turned out not to be free is not tried again.
      const known = this.#isAttached ? (this.#observed.status.PortStatus?.Ports ?? []) : [];
      this.#isAttached = false;
      const task = withHostPorts(this.#observed.task, known, this.#host.random);
      const sandbox = await this.#named('creating its sandbox and network', () =>
        attachedSandbox(task, { runtime, network: mesh, node, objects, signal }),
      );
      this.#isAttached = true;
      const prepared = await this.#named('preparing its files and program', () =>
        runtime.prepare(this.#observed.task, sandbox, {
          node,
          objects,
          signal,
          waiting: (Message) => this.#observed.say(Message),
        }),
      );
      this.#observed.isPrepared = true;
      this.#observed.set({ Message: this.#observed.status.Message, prepared, ...portsOf(task) });
    } finally {
      leave();
    }
  }

  /**
   * Has the mesh take over a task that an earlier run attached: its links stand, its networks and names are in the
   * memory of a process that has ended.
   */
  async adopt(): Promise<void> {
    const { runtime, mesh } = this.#host;
    const { task, status, unwanted: signal } = this.#observed;
    if (!isOnOverlay(task)) return;
    await Promise.race([this.#host.meshStarted(), aborted(signal)]);
    if (signal.aborted) return;
    const node = this.#host.node();
    const sandbox = await runtime.createSandbox(sandboxSpec(task, node, mesh.backend), signal);
    const known = withHostPorts(task, status.PortStatus?.Ports ?? [], this.#host.random);
    const attachment = sandboxAttachment(known, sandbox, this.#host.needs.of(task), node);
    if (attachment !== undefined && !signal.aborted) await mesh.adopt(attachment);
  }

  /** Names a step of preparing that takes long, unless the step says more itself. */
  async #named<T>(name: string, work: () => Promise<T>): Promise<T> {
    const { clock } = this.#host;
    const before = this.#observed.status.Message;
    const timer = clock.setTimeout(() => {
      if (this.#observed.status.Message === before) this.#observed.say(name);
    }, STEP_NAMED_AFTER_MS);
    try {
      return await work();
    } finally {
      clock.clearTimeout(timer);
    }
  }

  /** Waits until the node prepares and starts fewer tasks. @param then what the task says afterwards */
  async turn(then: string): Promise<(() => void) | undefined> {
    const { starts } = this.#host;
    const waits = starts.isFull;
    if (waits) this.#observed.say('waiting for other tasks of this node to be prepared or started');
    const leave = await starts.acquire(this.#observed.unwanted);
    if (waits && leave !== undefined) this.#observed.say(then);
    return leave;
  }
}

/** @param open what a port that the spec leaves open leads to the task from */
export function portsOf(
  task: Task,
  open: (port: PortConfig) => number = () => 0,
): Pick<StatusChange, 'ports'> {
  const ports = hostPublished(task).map((port) => ({
    ...port,
    PublishedPort: port.PublishedPort || open(port),
  }));
  return ports.length === 0 ? {} : { ports };
}
