import type { Node, Task, Timer } from '@swarm/api';
import { type ControlLoop, type LoopContext, loopOfRuns } from '../control-loop.js';
import { BatchWriter, WriterStopped } from '../dispatcher/batch-writer.js';
import { mayRun, orphanTasks } from '../dispatcher/orphan-tasks.js';
import type { StoreChange, View } from '../store/store.js';
import { canDemote, type Member } from './can-demote.js';
import { pruneRemoved, refuseNode } from './remove-node.js';

/** Interval between passes without events: retries what failed and notices what has no event. */
const RECONCILE_MS = 5_000;

/** The role manager's access to the Raft group. */
export interface Membership {
  members(): readonly Member[];
  /** Resolves when the group has committed the removal. */
  remove(raftId: number): Promise<void>;
  /** Whether the member is this node, and it leads. */
  isSelf(raftId: number): boolean;
  /** Transfers leadership to another reachable voter, which stops this loop. */
  transferAway(): Promise<void>;
}

/**
 * Makes Raft membership follow the roles that nodes should have. A demoted node leaves the Raft group
 * first; only then does the CA certify it as a worker (see `certifiedRole`), so a node never has both a
 * worker's certificate and a vote. Also cleans up after removed nodes.
 */
export function createRoleManager(context: LoopContext, membership: Membership): ControlLoop {
  return loopOfRuns('role-manager', () => new RoleManagerRun(context, membership));
}

class RoleManagerRun {
  readonly #context: LoopContext;
  readonly #membership: Membership;
  readonly #writer: BatchWriter;
  readonly #unwatch: () => void;
  /** Removed nodes whose certificates may not be refused yet. */
  readonly #removed = new Map<string, Node>();
  /** Nodes that do not exist, of tasks that may not have been given up yet. */
  readonly #gone = new Set<string>();
  #timer: Timer;
  #pass: Promise<void> | undefined;
  #again = false;
  #stopped = false;

  constructor(context: LoopContext, membership: Membership) {
    this.#context = context;
    this.#membership = membership;
    this.#writer = new BatchWriter(context.store, context.clock);
    this.#unwatch = context.store.watch((change) => this.#changed(change));
    this.#noteTasks();
    this.#reconcile();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#unwatch();
    this.#context.clock.clearTimeout(this.#timer);
    await this.#writer.stop();
    await this.#pass;
  }

  #noteTasks(): void {
    for (const task of this.#context.store.list('task')) this.#noteTask(task);
  }

  #noteTask(task: Task): void {
    const { NodeID } = task;
    if (NodeID !== undefined && mayRun(task) && isGone(this.#context.store, NodeID))
      this.#gone.add(NodeID);
  }

  #changed(change: StoreChange): void {
    let concerned = change.reset;
    if (change.reset) this.#noteTasks();
    for (const event of change.events) {
      concerned ||= event.kind === 'cluster' && event.action === 'create';
      if (event.kind === 'task' && event.action !== 'remove') this.#noteTask(event.object);
      if (event.kind !== 'node') continue;
      concerned ||=
        event.action !== 'update' ||
        event.previous.Spec.Role !== event.object.Spec.Role ||
        event.previous.RaftID !== event.object.RaftID;
      if (event.action === 'remove' && isGone(this.#context.store, event.object.ID))
        this.#forget(event.object);
    }
    if (concerned) this.#reconcile();
  }

  #forget(node: Node): void {
    this.#removed.set(node.ID, node);
    this.#gone.add(node.ID);
  }

  /** Runs one pass at a time; a change during a pass triggers another. */
  #reconcile(): void {
    if (this.#stopped) return;
    if (this.#pass !== undefined) {
      this.#again = true;
      return;
    }
    const { clock, logger } = this.#context;
    clock.clearTimeout(this.#timer);
    this.#again = false;
    this.#pass = this.#once()
      .catch((error) => {
        if (error instanceof WriterStopped) return;
        logger.warn({ err: error }, 'roles could not be reconciled, will retry');
      })
      .finally(() => {
        this.#pass = undefined;
        if (this.#stopped) return;
        if (this.#again) this.#reconcile();
        else this.#timer = clock.setTimeout(() => this.#reconcile(), RECONCILE_MS);
      });
  }

  async #once(): Promise<void> {
    // The first manager leads before it has written the cluster: no node has a role yet.
    if (this.#context.store.cluster() === undefined) return;
    await this.#cleanUp();
    for (const member of this.#membership.members()) {
      if (this.#stopped) return;
      const { store } = this.#context;
      const node = store.get('node', member.nodeId);
      // The node's object cannot be read, so its role is unknown.
      if (store.setAside('node', member.nodeId) !== undefined) continue;
      // Joining takes a manager's certificate, so every member had a node object: one without was removed.
      if (node === undefined || node.Spec.Role === 'worker') await this.#removeMember(member);
    }
    await this.#followMembership();
  }

  async #removeMember(member: Member): Promise<void> {
    const { logger } = this.#context;
    const { nodeId, raftId } = member;
    const reason = canDemote(this.#membership.members(), nodeId);
    if (reason !== undefined) {
      logger.warn(
        { nodeId, reason },
        'a demoted or removed manager cannot leave the Raft group yet',
      );
      return;
    }
    if (this.#membership.isSelf(raftId)) {
      logger.info(
        { nodeId },
        'this leader was demoted or removed, handing leadership to another manager',
      );
      await this.#membership.transferAway();
      return;
    }
    await this.#membership.remove(raftId);
    logger.info({ nodeId, raftId }, 'manager left the Raft group');
  }

  /** Writes membership to Node.RaftID and ManagerAddr, which the CA and agents go by. */
  async #followMembership(): Promise<void> {
    const members = new Map<string, Member>();
    for (const member of this.#membership.members()) members.set(member.nodeId, member);
    const { store } = this.#context;
    const stale: string[] = [];
    // A node that is not among the managers has nothing to lose, and a member may not be among them yet.
    const nodeIds = new Set(members.keys());
    for (const { ID } of store.managers()) nodeIds.add(ID);
    for (const nodeId of nodeIds) {
      const node = store.get('node', nodeId);
      if (node !== undefined && follow(node, members.get(nodeId)) !== node) stale.push(nodeId);
    }
    await this.#writer.write(
      stale.map((nodeId) => (transaction) => {
        const node = transaction.get('node', nodeId);
        const next = node && follow(node, members.get(nodeId));
        if (next !== undefined && next !== node) transaction.update('node', next);
      }),
    );
  }

  /** Refuses the certificates of nodes that are gone, and gives up their tasks. */
  async #cleanUp(): Promise<void> {
    const { store, clock } = this.#context;
    for (const node of [...this.#removed.values()]) {
      await this.#writer.write([(transaction) => refuseNode(transaction, node, clock.now())]);
      this.#removed.delete(node.ID);
    }
    await this.#writer.write([(transaction) => pruneRemoved(transaction, clock.now())]);
    for (const nodeId of [...this.#gone]) {
      const message = 'the node was removed from the cluster';
      // First, because a task may come to the node while its others are written.
      this.#gone.delete(nodeId);
      if (!isGone(store, nodeId)) continue;
      try {
        await orphanTasks(store, this.#writer, nodeId, message, () => clock.now());
      } catch (error) {
        this.#gone.add(nodeId);
        throw error;
      }
    }
  }
}

/** Removed, not only unreadable. */
function isGone(view: View, nodeId: string): boolean {
  return view.get('node', nodeId) === undefined && view.setAside('node', nodeId) === undefined;
}

/** Returns the node with its membership fields up to date; the same object when they already are. */
function follow(node: Node, member: Member | undefined): Node {
  if (member === undefined) {
    // A manager that is about to join has a certificate but is not a member yet.
    if (node.RaftID === undefined) return node;
    const { RaftID: _id, ManagerAddr: _address, ...rest } = node;
    return rest;
  }
  if (node.RaftID === member.raftId && node.ManagerAddr === member.address) return node;
  return { ...node, RaftID: member.raftId, ManagerAddr: member.address };
}
