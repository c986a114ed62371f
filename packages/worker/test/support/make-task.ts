import type {
  ContainerSpec,
  HostPrivileges,
  Node,
  PortConfig,
  Task,
  TaskRestart,
  TaskSpec,
  TaskState,
  TaskStop,
} from '@swarm/api';
import type { PrepareContext } from '../../src/runtime/runtime.js';

export interface TaskWishes {
  readonly container?: Partial<ContainerSpec>;
  readonly spec?: Partial<TaskSpec>;
  readonly desired?: TaskState;
  readonly observed?: TaskState;
  readonly ports?: readonly PortConfig[];
  /** On the ingress network, with prefix length. */
  readonly address?: string;
  readonly slot?: number;
  readonly stop?: TaskStop;
  readonly restart?: TaskRestart;
  readonly serviceLabels?: Record<string, string>;
  /** The cluster's policy when the task was placed. */
  readonly hostPrivileges?: HostPrivileges;
}

/** An assigned task of service `web` that sleeps, unless told otherwise. */
export function makeTask(id: string, wishes: TaskWishes = {}): Task {
  const at = '2026-01-01T00:00:00.000Z';
  return {
    ID: id,
    Version: { Index: 1 },
    CreatedAt: at,
    UpdatedAt: at,
    Name: `web.${wishes.slot ?? 1}.${id}`,
    Labels: {},
    Spec: {
      ContainerSpec: { Image: 'host', Args: ['sleep', '600'], ...wishes.container },
      ForceUpdate: 0,
      ...wishes.spec,
    },
    SpecVersion: { Index: 1 },
    ServiceID: 'service1',
    ServiceName: 'web',
    ServiceLabels: wishes.serviceLabels ?? {},
    Slot: wishes.slot ?? 1,
    NodeID: 'node1',
    Status: { Timestamp: at, State: wishes.observed ?? 'assigned', Message: '' },
    DesiredState: wishes.desired ?? 'running',
    Endpoint: { Ports: wishes.ports ?? [] },
    ...(wishes.stop === undefined ? {} : { Stop: wishes.stop }),
    ...(wishes.restart === undefined ? {} : { Restart: wishes.restart }),
    ...(wishes.hostPrivileges === undefined ? {} : { HostPrivileges: wishes.hostPrivileges }),
    ...(wishes.address === undefined
      ? {}
      : {
          NetworksAttachments: [
            {
              Network: { ID: 'ingress1', Spec: { Name: 'ingress' } },
              Addresses: [wishes.address],
            },
          ],
        }),
  };
}

/** Publishes 8080 for target 80 through the mesh. */
export const HTTP_PORT: PortConfig = {
  Protocol: 'tcp',
  TargetPort: 80,
  PublishedPort: 8080,
  PublishMode: 'ingress',
};

export const NODE_FACTS = {
  id: 'node1',
  hostname: 'worker-1',
  platform: { Architecture: 'x86_64', OS: 'linux' },
} as const;

/** What `prepare` needs besides the task, unless given. */
export function prepareContext(change: Partial<PrepareContext> = {}): PrepareContext {
  return {
    node: NODE_FACTS,
    objects: { get: () => undefined },
    signal: new AbortController().signal,
    waiting() {},
    ...change,
  };
}

export function makeNode(change: Partial<Node> = {}): Node {
  const at = '2026-01-01T00:00:00.000Z';
  return {
    ID: 'node1',
    Version: { Index: 1 },
    CreatedAt: at,
    UpdatedAt: at,
    Spec: { Labels: {}, Role: 'worker', Availability: 'active' },
    Status: { State: 'ready', Addr: '127.0.0.1' },
    Role: 'worker',
    ...change,
  };
}
