import { randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import type { ConnectionOptions } from 'node:tls';
import { join } from 'node:path';
import {
  ApiError,
  type Clock,
  DISPATCH_FRAME_LIMIT_BYTES,
  dispatcherProtocols,
  ERROR_CODE_HEADER,
  isTunnelled,
  type Labels,
  type Logger,
  type ManagerAddress,
  type MeshTrace,
  type MeshTraceQuery,
  MESH_PROBE_PORT,
  type Node,
  portKey,
  PROGRAM,
  type Timer,
  WIREGUARD_PORT_OFFSET,
} from '@swarm/api';
import {
  createMesh,
  type Mesh,
  systemKernel,
  systemResolver,
  systemSockets,
} from '@swarm/routing-mesh';
import {
  Agent,
  agentDatabase,
  AttachableContainers,
  containersFile,
  managersFile,
  type Runtime,
} from '@swarm/worker';
import { WebSocket } from 'ws';
import {
  explainValidity,
  isValidityError,
  type NodeIdentity,
  tlsClientOptions,
  tlsInfo,
} from '@swarm/identity';
import type { MeshChoice } from '../daemon/options.js';
import { onRefusedHandshake } from '../port/refused-handshake.js';
import { openTunnelKey } from '../files/tunnel-key.js';
import { attachmentCalls } from './attachment-calls.js';
import { Contact } from './contact.js';
import { KeyAge } from './key-age.js';
import { type FormerManager, ManagerPins } from './manager-pins.js';
import { promptConnection } from './prompt-connection.js';
import type { RuntimeSource } from './runtime-source.js';

/** The daemon's options for tasks. */
export interface TasksEnvironment {
  readonly runtime: RuntimeSource;
  readonly mesh: MeshChoice;
  /** Addresses that the userspace mesh listens on; empty means all. */
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
  /** Random, of this run of the daemon. */
  readonly instance: string;
  readonly dataPathAddress: string;
  readonly dataPathPort: number;
  /** Where the node listens while it is a manager. */
  readonly listenPort: () => number;
  readonly identity: () => NodeIdentity;
  readonly managers: readonly ManagerAddress[];
  /** The socket of the engine that runs the tasks; absent for other runtimes. */
  readonly engineSocket?: string;
  /** As the last run of this node knew them. */
  readonly formerManagers: readonly FormerManager[];
  /** The former managers changed. */
  onFormerManagers(former: readonly FormerManager[]): void;
  onNode(node: Node, managers: readonly ManagerAddress[], featureLevel: number | undefined): void;
  /** A manager refused this node's certificate because its time is over; the agent keeps trying. */
  onExpired(): void;
  /** Another daemon runs as this node, or no longer does. */
  onCopied(isCopy: boolean): void;
  /** The runtime is there, but agent or mesh failed to start. */
  onFailed(error: unknown): void;
  /** The cluster has removed this node. */
  onRemoved(reason: string): void;
}

/** The worker's part of a node that is in a cluster: agent and mesh. */
export interface NodeTasks {
  /**
   * Resolves when the first session with a manager is established.
   * @throws ApiError when the node closes or leaves before
   */
  connected(): Promise<void>;
  /** Resolves when this node serves the published ports of the cluster, or after MESH_SERVING_WAIT_MS. */
  serving(): Promise<void>;
  /** Why there is no session with a manager, once there has been none for a while; empty otherwise. */
  problem(): string;
  /** Containers of the engine that join networks; undefined where none can. */
  readonly attachable: AttachableContainers | undefined;
  /** Takes the node's data path address, and managers to look for, from now on. */
  move(dataPathAddress: string, managers: readonly ManagerAddress[]): void;
  /**
   * Where this node leads a connection.
   * @param local the host's addresses
   * @throws RangeError for a query that it cannot answer
   */
  trace(query: MeshTraceQuery, local: ReadonlySet<string>): Promise<MeshTrace>;
  /** Closes agent and mesh; tasks and traffic go on. */
  close(): Promise<void>;
  /** Stops and removes all tasks and the mesh, when the node leaves the cluster. */
  leave(): Promise<void>;
}

/** How long tasks get to end when the node leaves. */
/** Of the random name of an epoch. */
const EPOCH_BYTES = 16;
const LEAVE_GRACE_MS = 2_000;
const HANDSHAKE_TIMEOUT_MS = 5_000;
/** A mesh that takes longer has a problem, which the node's state names. */
const MESH_SERVING_WAIT_MS = 5_000;

/**
 * Starts agent and mesh. Waits for the runtime first: an agent without it would report none of the node's
 * tasks, and the managers would replace all of them.
 */
export async function startNodeTasks(options: NodeTasksOptions): Promise<NodeTasks> {
  const { runtime } = options.runtime;
  return runtime === undefined ? new AwaitedTasks(options) : startWith(runtime, options);
}

/** Agent and mesh that start when the runtime is there. */
class AwaitedTasks implements NodeTasks {
  #options: NodeTasksOptions;
  readonly #started: Promise<NodeTasks>;
  /** Set once the runtime is there. */
  #starting: Promise<NodeTasks> | undefined;
  #tasks: NodeTasks | undefined;
  #letGo: () => void = () => {};
  #isOver = false;

  constructor(options: NodeTasksOptions) {
    this.#options = options;
    this.#started = new Promise((resolve, reject) => {
      this.#letGo = () => reject(letGo());
      void options.runtime.ready().then((runtime) => {
        if (this.#isOver) return;
        this.#starting = startWith(runtime, this.#options);
        this.#starting.then(
          (tasks) => {
            this.#tasks = tasks;
            resolve(tasks);
          },
          (error: unknown) => {
            reject(error as Error);
            if (!this.#isOver) options.onFailed(error);
          },
        );
      });
    });
    this.#started.catch(() => undefined);
  }

  problem(): string {
    return this.#tasks?.problem() ?? '';
  }

  get attachable(): AttachableContainers | undefined {
    return this.#tasks?.attachable;
  }

  move(dataPathAddress: string, managers: readonly ManagerAddress[]): void {
    this.#options = { ...this.#options, dataPathAddress, managers };
    // Between the two it has the options of before.
    void this.#starting?.then((tasks) => tasks.move(dataPathAddress, managers)).catch(() => {});
  }

  async trace(query: MeshTraceQuery, local: ReadonlySet<string>): Promise<MeshTrace> {
    if (this.#tasks === undefined) {
      throw new RangeError(`the mesh of this node waits: ${this.#options.runtime.waiting}`);
    }
    return this.#tasks.trace(query, local);
  }

  async connected(): Promise<void> {
    const tasks = await this.#started;
    await tasks.connected();
  }

  async serving(): Promise<void> {
    await this.#tasks?.serving();
  }

  async close(): Promise<void> {
    const tasks = await this.#stop();
    await tasks?.close();
  }

  async leave(): Promise<void> {
    const tasks = await this.#stop();
    if (tasks !== undefined) return tasks.leave();
    const { logger, folder, runtime } = this.#options;
    logger.warn({ reason: runtime.waiting }, 'tasks that the node may have are left behind');
    await rm(folder, { recursive: true, force: true });
  }

  /** Resolves with agent and mesh if they were started. */
  #stop(): Promise<NodeTasks | undefined> {
    this.#isOver = true;
    this.#letGo();
    return this.#starting?.catch(() => undefined) ?? Promise.resolve(undefined);
  }
}

function letGo(): ApiError {
  return new ApiError('TIMEOUT', 'the node left before a manager had answered it');
}

async function startWith(runtime: Runtime, options: NodeTasksOptions): Promise<NodeTasks> {
  const { logger, clock, random, identity } = options;
  const mesh = await createMesh({
    backend: options.mesh,
    dataPathPort: options.dataPathPort,
    ownPorts: () => [
      portKey('tcp', options.listenPort()),
      portKey('udp', options.dataPathPort),
      portKey('udp', MESH_PROBE_PORT),
      portKey('udp', options.dataPathPort + WIREGUARD_PORT_OFFSET),
    ],
    encryption: {
      keys: await openTunnelKey(options.folder, clock.now(), logger),
      newEpoch: () => randomBytes(EPOCH_BYTES).toString('hex'),
    },
    kernel: systemKernel(),
    sockets: systemSockets(),
    resolver: systemResolver({ folder: join(options.folder, 'names') }),
    random,
    logger,
    clock,
    ...(options.meshBind.length === 0 ? {} : { bindAddresses: options.meshBind }),
  });
  const keyAge = new KeyAge({ mesh, clock, logger, folder: options.folder });
  logger.info(
    { mesh: mesh.backend },
    isTunnelled({ MeshBackend: mesh.backend })
      ? 'published ports are served by the kernel; tasks see the client’s own address'
      : 'published ports are served by a userspace proxy: tasks see its address, not the client’s',
  );
  let stood: () => void = () => {};
  let gone: (error: Error) => void = () => {};
  const connected = new Promise<void>((resolve, reject) => {
    stood = resolve;
    gone = reject;
  });
  connected.catch(() => undefined);
  const endWait = () => gone(letGo());
  const contact = new Contact({ clock, logger, certificate: () => identity().certificate });
  const pins = new ManagerPins({
    ...{ clock, logger, managers: options.managers, former: options.formerManagers },
    heirsFromMs: () => contact.heirsFromMs(),
    isLost: () => contact.isLost(),
  });
  const described = {
    TLSInfo: tlsInfo(identity().rootCertificate),
    ListenPort: options.listenPort(),
    ...(Object.keys(options.labels).length > 0 && (await labelled(runtime, options.labels))),
  };
  const tls = (manager: ManagerAddress) =>
    tlsClientOptions(identity(), (found) => pins.judge(manager, found));
  let attachable: AttachableContainers | undefined;
  const agent: Agent = new Agent({
    alsoAttached: () => attachable?.taskIds ?? [],
    nodeId: options.nodeId,
    instance: options.instance,
    runtime,
    mesh,
    connect: (manager) =>
      hearRefusal(
        new WebSocket(
          `wss://${manager.address}/dispatcher`,
          dispatcherProtocols(PROGRAM.Protocol),
          {
            ...({ ...tls(manager), createConnection: promptConnection } as ConnectionOptions),
            perMessageDeflate: false,
            maxPayload: DISPATCH_FRAME_LIMIT_BYTES,
            handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
          },
        ),
        manager.address,
        options,
        contact,
      ),
    managers: managersFile(join(options.folder, 'managers.json'), logger),
    storage: agentDatabase(join(options.folder, 'tasks'), logger),
    dataPathAddr: options.dataPathAddress,
    clock,
    random,
    logger,
    description: described,
    events: {
      connected: () => {
        contact.connected();
        options.onCopied(false);
        attachable?.connected();
        stood();
      },
      disconnected: () => contact.lost(),
      failed: (reason, manager) =>
        contact.failed(manager === undefined ? reason : `${manager.address}: ${reason}`),
      copied: (reason) => {
        options.onCopied(true);
        contact.refused(reason);
      },
      node: (node, managers, featureLevel) => {
        options.onNode(node, managers, featureLevel);
        if (pins.learn(managers)) options.onFormerManagers(pins.former);
      },
      refused: options.onRemoved,
    },
  });
  // Links of their own need a kernel that makes them, and this engine.
  if (options.engineSocket !== undefined && isTunnelled({ MeshBackend: mesh.backend })) {
    attachable = new AttachableContainers({
      ...{ clock, logger, random, mesh, nodeId: options.nodeId },
      engineSocket: options.engineSocket,
      managers: attachmentCalls({ managers: () => agent.managers, tls }),
      store: containersFile(join(options.folder, 'containers.json'), logger),
      meshStarted: () => agent.meshStarted,
      meshNames: (taskId) => agent.meshNames(taskId),
    });
  }
  try {
    await attachable?.load();
    await agent.start(options.managers);
    attachable?.start();
  } catch (error) {
    await attachable?.close();
    contact.close();
    keyAge.close();
    await mesh.close({ keep: true });
    throw error;
  }
  return {
    attachable,
    connected: () => connected,
    async serving() {
      let timer: Timer;
      const limit = new Promise<void>((resolve) => {
        timer = clock.setTimeout(resolve, MESH_SERVING_WAIT_MS);
      });
      await Promise.race([agent.meshServing, limit]);
      clock.clearTimeout(timer);
    },
    problem: () => contact.problem(),
    trace: (query, local) => mesh.trace(query, local),
    move(dataPathAddress, managers) {
      agent.addManagers(managers);
      agent.describe({ ...described, ListenPort: options.listenPort() });
      agent.move(dataPathAddress);
    },
    async close() {
      endWait();
      contact.close();
      keyAge.close();
      await attachable?.close();
      await agent.close();
      await mesh.close({ keep: true });
    },
    async leave() {
      endWait();
      contact.close();
      keyAge.close();
      await attachable?.leave();
      await agent.close();
      await removeTasks(runtime, mesh, logger);
      await mesh.close({ keep: false }).catch((error: unknown) => {
        logger.error({ err: error }, 'the mesh left something in the kernel');
      });
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

/**
 * Removes every sandbox with its tasks, empty ones too. Logs and leaves what it cannot remove (an engine
 * that is down): a node must always be able to leave.
 */
async function removeTasks(runtime: Runtime, mesh: Mesh, logger: Logger): Promise<void> {
  const listed = Promise.all([runtime.list(), runtime.listSandboxes()]);
  const [tasks, sandboxes] = await listed.catch((error: unknown) => {
    logger.error({ err: error }, 'the tasks on this node could not be listed, they are left');
    return [[], []] as const;
  });
  const ids = new Set([...tasks.map(({ sandboxId }) => sandboxId), ...sandboxes]);
  await Promise.all(
    [...ids].map(async (sandboxId) => {
      try {
        await runtime.stopSandbox(sandboxId, { graceMs: LEAVE_GRACE_MS });
        // Each task has a sandbox to itself, of its own id.
        await mesh.detach(sandboxId);
        await runtime.removeSandbox(sandboxId);
      } catch (error) {
        logger.error({ err: error, sandboxId }, 'a task could not be removed, it is left');
      }
    }),
  );
}

/**
 * Refusals after which the node goes on with what it has and tries again: until either side is upgraded, or
 * until the cluster is restored from a newer backup.
 */
const MAY_PASS: readonly string[] = ['WRONG_VERSION', 'UNKNOWN_NODE'];

/** Turns a refused handshake into an error with the manager's reason, and explains certificates by the clocks. */
function hearRefusal(
  socket: WebSocket,
  address: string,
  { onExpired, onRemoved, clock }: Pick<NodeTasksOptions, 'onExpired' | 'onRemoved' | 'clock'>,
  contact: Contact,
): WebSocket {
  onRefusedHandshake(socket, (reason, response) => {
    const code = response.headers[ERROR_CODE_HEADER.toLowerCase()];
    const mayPass = response.statusCode === 401 || MAY_PASS.includes(String(code));
    if (mayPass) contact.refused(reason);
    // Managers answer 403 only to a removed node otherwise.
    else if (response.statusCode === 403) onRemoved(reason);
    if (code === 'CERTIFICATE_EXPIRED') onExpired();
    return new Error(`refused: ${reason}`);
  });
  socket.once('error', (error) => {
    if (!isValidityError(error) || !contact.asksForTime()) return;
    void explainValidity(address, clock.now()).then((why) => contact.refused(`${address}: ${why}`));
  });
  return socket;
}
