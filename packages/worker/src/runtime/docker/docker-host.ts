import type { Clock } from '@swarm/api';
import type { EngineClient } from './engine-client.js';

/** What all tasks of a runtime share. */
export interface DockerHost {
  readonly engine: EngineClient;
  readonly clock: Clock;
}
