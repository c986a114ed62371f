import {
  isJobMode,
  modeOf,
  newId,
  type Service,
  type TaskRestart,
  type TaskState,
} from '@swarm/api';
import type { Draft } from '../store/store.js';
import { formatTime } from './time.js';

export interface NewTask {
  readonly service: Service;
  /** From 1; 0 for global services and global jobs. */
  readonly slot: number;
  /** Set for global services and global jobs: the scheduler only confirms it. */
  readonly nodeId?: string;
  readonly desiredState: TaskState;
  readonly message?: string;
  readonly restart?: TaskRestart;
}

/**
 * Makes a task in state NEW from the service's current spec. Its ports stay empty: the allocator fills
 * them in when it moves the task to PENDING.
 */
export function newTask(
  options: NewTask,
  nowMs: number,
  randomBytes: (size: number) => Uint8Array,
): Draft<'task'> {
  const { service, slot, nodeId } = options;
  const id = newId(randomBytes);
  const place = nodeId ?? String(slot);
  return {
    ID: id,
    Name: `${service.Spec.Name}.${place}.${id}`,
    Labels: {},
    Spec: service.Spec.TaskTemplate,
    SpecVersion: service.SpecVersion,
    ServiceID: service.ID,
    ServiceName: service.Spec.Name,
    ServiceLabels: service.Spec.Labels,
    Slot: nodeId === undefined ? slot : 0,
    ...(nodeId !== undefined && { NodeID: nodeId }),
    Status: { Timestamp: formatTime(nowMs), State: 'new', Message: options.message ?? 'created' },
    DesiredState: options.desiredState,
    Endpoint: { Ports: [] },
    ...(isJobMode(modeOf(service.Spec)) && {
      JobIteration: service.JobStatus?.JobIteration ?? { Index: 0 },
    }),
    ...(options.restart !== undefined && { Restart: options.restart }),
  };
}
