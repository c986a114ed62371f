import type { Clock, Logger, Task, TaskStatus } from '@swarm/api';
import type { NodeFacts, Runtime } from '../runtime/runtime.js';
import type { Isolation } from './isolation.js';
import type { Leftovers } from './leftovers.js';
import type { Semaphore } from './semaphore.js';
import type { TaskMesh } from './task-mesh.js';
import type { TaskNeeds } from './task-needs.js';

/** What all controllers of a node share. */
export interface TaskHost {
  readonly runtime: Runtime;
  readonly mesh: TaskMesh;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Bounds how many tasks are being prepared or started at once. */
  readonly starts: Semaphore;
  /** 0 ≤ x < 1. */
  readonly random: () => number;
  readonly isolation: Isolation;
  readonly leftovers: Leftovers;
  /** The objects that tasks need, as far as they are on this node. */
  readonly needs: Pick<TaskNeeds, 'missing' | 'of'>;
  /** Resolves when the mesh can attach tasks. */
  meshStarted(): Promise<void>;
  meshRunning(): boolean;
  /** Resolves when the mesh holds a state that names the task, or after a while: managers may not be reached. */
  meshNames(taskId: string): Promise<void>;
  node(): NodeFacts;
  /** Called after each change of a task's status. */
  changed(task: Task, status: TaskStatus): void;
}
