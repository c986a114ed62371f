import { rm } from 'node:fs/promises';
import type { ConnectionOptions } from 'node:tls';
import { join } from 'node:path';
import type { Clock, Labels, Logger, ManagerAddress, Node } from '@swarm/api';
import { type NodeIdentity, tlsClientOptions } from '@swarm/manager';
import { createMesh, type Mesh } from '@swarm/routing-mesh';
import { Agent, managersFile, type Runtime } from '@swarm/worker';
import { WebSocket } from 'ws';
import type { MeshChoice } from './options.js';

/** What the daemon was started with, for tasks. */
export interface TasksEnvironment {
  readonly runtime: Runtime;
  readonly mesh: MeshChoice;
  /** Addresses the userspace mesh listens on; empty: all. */
  readonly meshBind: readonly string[];
  /** Engine labels. */
  readonly labels: Labels;
}

export interface NodeTasksOptions extends TasksEnvironment {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly random: () => number;
  readonly folder: string;
  readonly nodeId: string;
  readonly dataPathAddress: string;
  readonly dataPathPort: number;
  readonly identity: () => NodeIdentity;
  readonly managers: readonly ManagerAddress[];
  onNode(node: Node, managers: readonly ManagerAddress[]): void;
  onRemoved(reason: string): void;
}

/** The worker's part of a node that is in a cluster: agent and mesh. */
export interface NodeTasks {
  /** Resolves when a session with a manager stood for the first time. */
  connected(): Promise<void>;
  /** Lets go; tasks and traffic go on. */
  close(): Promise<void>;
  /** Stops and removes all tasks and the mesh: the node leaves the cluster. */
  leave(): Promise<void>;
}

/** Tasks of a node that leaves get this long to end. */
const LEAVE_GRACE_MS = 2_000;
const HANDSHAKE_TIMEOUT_MS = 5_000;

export async function startNodeTasks(options: NodeTasksOptions): Promise<NodeTasks> {
  const { runtime, logger, clock, random, identity } = options;
  const mesh = await createMesh({
    backend: options.mesh,
    dataPathPort: options.dataPathPort,
    logger,
    clock,
    ...(options.meshBind.length === 0 ? {} : { bindAddresses: options.meshBind }),
  });
  logger.info(
    { mesh: mesh.backend },
    mesh.backend === 'userspace'
      ? 'published ports are served by a userspace proxy: tasks see its address, not the client’s'
      : 'published ports are served by the kernel; tasks see the client’s own address',
  );
  let stood: () => void = () => {};
  const connected = new Promise<void>((resolve) => {
    stood = resolve;
  });
  const agent = new Agent({
    nodeId: options.nodeId,
    runtime,
    mesh,
    connect: (manager) =>
      new WebSocket(`wss://${manager.address}/dispatcher`, {
        ...(tlsClientOptions(
          identity(),
          manager.nodeId === '' ? undefined : manager.nodeId,
        ) as ConnectionOptions),
        perMessageDeflate: false,
        handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
      }),
    managers: managersFile(join(options.folder, 'managers.json')),
    folder: join(options.folder, 'tasks'),
    dataPathAddr: options.dataPathAddress,
    clock,
    random,
    logger,
    ...(Object.keys(options.labels).length === 0
      ? {}
      : { description: await labelled(runtime, options.labels) }),
    events: { connected: () => stood(), node: options.onNode, refused: options.onRemoved },
  });
  await agent.start(options.managers);
  return {
    connected: () => connected,
    async close() {
      await agent.close();
      await mesh.close({ keep: true });
    },
    async leave() {
      await agent.close();
      await removeTasks(runtime, mesh);
      await mesh.close({ keep: false });
      await rm(options.folder, { recursive: true, force: true });
    },
  };
}

/** The description with this node's labels; the rest of `Engine` is the runtime's. */
async function labelled(runtime: Runtime, labels: Labels) {
  const { engineVersion, plugins } = await runtime.describe();
  return {
    Engine: {
      EngineVersion: engineVersion,
      Labels: labels,
      ...(plugins === undefined ? {} : { Plugins: plugins }),
    },
  };
}

async function removeTasks(runtime: Runtime, mesh: Mesh): Promise<void> {
  const left = await runtime.list();
  await Promise.all(
    left.map(async ({ taskId }) => {
      await runtime.stop(taskId, { graceMs: LEAVE_GRACE_MS });
      await mesh.detach(taskId);
      await runtime.remove(taskId);
    }),
  );
}
