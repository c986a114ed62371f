import type {
  MeshEncryption,
  MeshIngress,
  MeshPeer,
  MeshState,
  NodePaths,
  PortConflict,
} from '@swarm/api';
import type { TaskAttachment, TaskRefusals, TaskSockets } from '@swarm/routing-mesh';
import type { TaskMesh } from '../../src/agent/task-mesh.js';

/** A mesh that remembers what it was told and answers what the test says. */
export class FakeMesh implements TaskMesh {
  readonly backend = 'nftables';
  readonly attached = new Map<string, TaskAttachment>();
  readonly applied: MeshState[] = [];
  /** Looks at a task's sockets, in order: `connections t1`. */
  readonly looks: string[] = [];
  self: MeshPeer | undefined;
  ingress: MeshIngress | undefined;
  retained: ReadonlySet<string> | undefined;
  openConnections = 0;
  listening = true;
  /** Awaited before a state is applied. */
  onApply: (state: MeshState) => Promise<void> = async () => {};

  get generation(): number {
    return this.applied.at(-1)?.generation ?? 0;
  }

  async start(self: MeshPeer, ingress?: MeshIngress): Promise<void> {
    this.self = self;
    this.ingress = ingress;
  }

  async apply(state: MeshState): Promise<void> {
    await this.onApply(state);
    this.applied.push(state);
  }

  /** Asks for whole states. */
  async change(): Promise<boolean> {
    return false;
  }

  /** Awaited before a task is attached. */
  onAttach: () => Promise<void> = async () => {};
  #conflicts: readonly PortConflict[] = [];
  #listener = (): void => {};

  get conflicts(): readonly PortConflict[] {
    return this.#conflicts;
  }

  /** Ports that the host's programs have from now on. */
  conflict(...conflicts: readonly PortConflict[]): void {
    this.#conflicts = conflicts;
    this.#listener();
  }

  paths: NodePaths | undefined;
  #pathListener = (): void => {};

  /** What this node finds of the paths to others from now on. */
  findPaths(paths: NodePaths | undefined): void {
    this.paths = paths;
    this.#pathListener();
  }

  watchPaths(listener: () => void): () => void {
    this.#pathListener = listener;
    return () => {
      this.#pathListener = () => {};
    };
  }

  watchConflicts(listener: () => void): () => void {
    this.#listener = listener;
    return () => {
      this.#listener = () => {};
    };
  }

  encryption: MeshEncryption | undefined;

  watchEncryption(): () => void {
    return () => {};
  }

  async changeKeys(): Promise<void> {}

  /** Reports refused clients, as the mesh would. */
  refuse: (refusals: TaskRefusals) => void = () => {};

  watchRefusals(listener: (refusals: TaskRefusals) => void): () => void {
    this.refuse = listener;
    return () => {
      this.refuse = () => {};
    };
  }

  async attach(task: TaskAttachment): Promise<void> {
    await this.onAttach();
    this.attached.set(task.taskId, task);
  }

  /** Tasks of an earlier run that were taken over. */
  readonly adopted = new Map<string, TaskAttachment>();

  async adopt(task: TaskAttachment): Promise<void> {
    this.adopted.set(task.taskId, task);
    this.attached.set(task.taskId, task);
  }

  async detach(taskId: string): Promise<void> {
    this.attached.delete(taskId);
  }

  async retain(taskIds: ReadonlySet<string>): Promise<void> {
    this.retained = taskIds;
  }

  async connections(task: TaskSockets): Promise<number> {
    this.looks.push(`connections ${task.taskId}`);
    return this.openConnections;
  }

  async listens(task: TaskSockets): Promise<boolean> {
    this.looks.push(`listens ${task.taskId}`);
    return this.listening;
  }

  readonly ipv6Addresses = [];
  servesOverIpv6 = false;

  async servesIpv6(): Promise<boolean> {
    return this.servesOverIpv6;
  }
}
