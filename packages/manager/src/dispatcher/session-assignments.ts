import { type Clock, compareStates, type Logger } from '@swarm/api';
import { WITH_TYPED_ASSIGNMENTS } from '@swarm/api/wire';
import type { Kind, StoreEvent, View } from '../store/store.js';
import { AssignmentSender } from './assignment-sender.js';
import { AssignmentSet } from './assignment-set.js';
import { DrainGate } from './drain-gate.js';
import type { MeshPublisher } from './mesh-publisher.js';
import { mayStillServe } from './mesh-state.js';
import { stopsTask } from './node-states.js';
import { ObjectWatchers } from './object-watchers.js';
import type { DispatcherSession } from './session.js';
import { SpecSizes } from './spec-sizes.js';

export interface SessionAssignmentsOptions {
  readonly view: View;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Sessions that have their node. */
  readonly sessions: ReadonlyMap<string, DispatcherSession>;
  readonly mesh: Pick<MeshPublisher, 'generation' | 'isEndpoint' | 'departure'>;
  /** Living nodes that may still route by a generation before this one. */
  readonly behind: (generation: number) => string[];
}

/**
 * Tells every session what its node should run. Holds back the stop of a task that other nodes may still send
 * traffic to.
 */
export class SessionAssignments {
  readonly #options: SessionAssignmentsOptions;
  readonly #watchers = new ObjectWatchers();
  readonly #sizes = new SpecSizes();
  readonly #gate: DrainGate;

  constructor(options: SessionAssignmentsOptions) {
    const { clock, logger, behind } = options;
    this.#options = options;
    this.#gate = new DrainGate({
      clock,
      logger,
      behind,
      release: (taskIds) => this.#release(taskIds),
    });
  }

  /** Only the former leader knew which nodes still send traffic to a task that should stop. */
  start(): void {
    const { view, mesh } = this.#options;
    for (const task of view.list('task')) {
      const stops = compareStates(task.DesiredState, 'running') > 0;
      if (stops && mayStillServe(view, task)) this.#gate.hold(task.ID, mesh.generation);
    }
  }

  stop(): void {
    this.#gate.stop();
  }

  /** What a session that was just welcomed gets; nothing is sent before its first `flush`. */
  senderFor(session: DispatcherSession): AssignmentSender {
    const { view, clock } = this.#options;
    const set = new AssignmentSet({
      nodeId: session.nodeId,
      view,
      isHeld: (taskId) => this.#gate.isHeld(taskId),
      sizes: this.#sizes,
      needed: (key, isNeeded) => {
        if (isNeeded) this.#watchers.add(key, sender);
        else this.#watchers.delete(key, sender);
      },
    });
    const sender: AssignmentSender = new AssignmentSender({
      set,
      clock,
      send: (message) => session.send(message),
      ended: () => session.ended,
      fail: (reason) => session.end(reason),
      acknowledges: session.peer.protocol >= WITH_TYPED_ASSIGNMENTS,
    });
    return sender;
  }

  taskChanged(event: StoreEvent & { kind: 'task' }, index: number): void {
    const { sessions, mesh } = this.#options;
    const task = event.object;
    if (stopsTask(event)) {
      if (mesh.isEndpoint(task)) this.#gate.hold(task.ID, index);
      else {
        const departure = mesh.departure(task.ID);
        if (departure !== undefined) this.#gate.hold(task.ID, departure);
      }
    }
    if (task.NodeID !== undefined) sessions.get(task.NodeID)?.assignments?.touchTask(task.ID);
  }

  objectChanged(kind: Kind, id: string): void {
    this.#watchers.changed(kind, id);
  }

  /** `behind` may have changed: an acknowledgement came, or a node left. */
  routesChanged(): void {
    this.#gate.changed();
  }

  #release(taskIds: readonly string[]): void {
    const { view, sessions } = this.#options;
    const concerned = new Set<DispatcherSession>();
    for (const taskId of taskIds) {
      const nodeId = view.get('task', taskId)?.NodeID;
      // A task that was removed from the store is pending in the session that knows it.
      for (const each of nodeId === undefined ? sessions.keys() : [nodeId]) {
        const session = sessions.get(each);
        if (session !== undefined) concerned.add(session);
      }
    }
    for (const session of concerned) session.assignments?.flush();
  }
}
