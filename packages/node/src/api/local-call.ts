import type { Clock } from '@swarm/api';
import type { BodyReader, Engine, HttpCall, RoutePattern } from '@swarm/http';
import type { Caller } from '@swarm/identity';
import type { NodeControl } from './node-control.js';

/** One request that this node answers itself. */
export interface LocalCall extends HttpCall<Caller> {
  readonly services: LocalServices;
}

/** What handlers of local routes may use. */
export interface LocalServices {
  readonly control: NodeControl;
  readonly clock: Clock;
  readonly bodies: BodyReader;
  readonly engine: Engine | undefined;
  /** The product's version. */
  readonly version: string;
  /** How long the API waits for a join. */
  readonly joinMs: number;
  /** What a manager adds to the `Swarm` part of `GET /info`; nothing on a worker. */
  readonly managerInfo: () => Readonly<Record<string, unknown>>;
}

export interface LocalRoute extends RoutePattern {
  readonly handle: (call: LocalCall) => Promise<void> | void;
}
