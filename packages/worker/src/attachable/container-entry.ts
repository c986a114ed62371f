import type { SerialQueue, Timer } from '@swarm/api';
import type { ContainerRecord } from './container-record.js';

/** One container, with the queue of what is done to it. */
export interface ContainerEntry {
  record: ContainerRecord;
  readonly queue: SerialQueue;
  /** This process has told the mesh of its place. */
  isAttached: boolean;
  /** The managers are being asked for its place. */
  isOpening: boolean;
  timer: Timer | undefined;
}
