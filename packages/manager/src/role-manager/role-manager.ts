import type { Node, Task, Timer } from '@swarm/api';
import { type ControlLoop, type LoopContext, loopOfRuns } from '../control-loop.js';
import { BatchWriter, WriterStopped } from '../dispatcher/batch-writer.js';
import { mayRun, orphanTasks } from '../dispatcher/orphan-tasks.js';
import type { StoreChange, View } from '../store/store.js';
import type { Member } from './can-demote.js';
import { Departures } from './departures.js';
import type { Membership } from './membership.js';
import { expiredRemoved, moveRemoved, refuseNode } from './remove-node.js';
import { RoleNotes } from './role-notes.js';

/** Interval between passes without events: retries what failed and notices what has no event. */
const RECONCILE_MS = 5_000;
/** Certificates live for days, so an expired one may be remembered for longer. */
const LOOK_FOR_EXPIRED_MS = 60 * 60 * 1000;

/**
 * Makes Raft membership follow the roles that nodes should have. A demoted node leaves the Raft group
 * first; only then does the CA certify it as a worker (see `certifiedRole`), so a node never has both a
 * worker's certificate and a vote. Also cleans up after removed nodes.
 */
export function createRoleManager(
  context: LoopContext,
  membership: Membership,
  notes = new RoleNotes(),
): ControlLoop {
  return loopOfRuns('role-manager', () => new RoleManagerRun(context, membership, notes));
}

class RoleManagerRun {
  readonly #context: LoopContext;
  readonly #membership: Membership;
  readonly #notes: RoleNotes;
  readonly #departures: Departures;
  readonly #writer: BatchWriter;
  readonly #endings: readonly (() => void)[];
  /** Removed nodes whose certificates may not be refused yet. */
  readonly #removed = new Map<string, Node>();
  /** Nodes that do not exist, of tasks that may not have been given up yet. */
  readonly #gone = new Set<string>();
  #timer: Timer;
  /** Monotonic. */
  #lookAgainMs = 0;
  #pass: Promise<void> | undefined;
  #again = false;
  #stopped = false;

  constructor(context: LoopContext, membership: Membership, notes: RoleNotes) {
    const { store, clock, logger } = context;
    this.#context = context;
    this.#membership = membership;
    this.#notes = notes;
    this.#notes.clear();
    this.#departures = new Departures({
      ...{ membership, clock, logger, notes },
      ended: () => this.#reconcile(),
    });
    this.#writer = new BatchWriter(store, clock);
    this.#endings = [
      store.watch((change) => this.#changed(change)),
      // A node whose membership is not written down yet cannot tell whether it is in the group.
      membership.watch(() => this.#reconcile()),
    ];
    this.#noteTasks();
    this.#reconcile();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    for (const end of this.#endings) end();
    this.#departures.stop();
    this.#context.clock.clearTimeout(this.#timer);
    await this.#writer.stop();
    await this.#pass;
    this.#notes.clear();
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
      const hasOtherWish =
        event.action !== 'update' || event.previous.Spec.Role !== event.object.Spec.Role;
      if (hasOtherWish) this.#notes.forget(event.object.ID);
      concerned ||=
        hasOtherWish ||
        (event.action === 'update' && event.previous.RaftID !== event.object.RaftID);
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
    this.#departures.follow(this.#leaving());
    await this.#followMembership();
    await this.#cleanUp();
  }

  /** The members that should not be any. */
  #leaving(): Member[] {
    const { store } = this.#context;
    return this.#membership.members().filter(({ nodeId }) => {
      // The node's object cannot be read, so its role is unknown.
      if (store.setAside('node', nodeId) !== undefined) return false;
      const node = store.get('node', nodeId);
      // Joining takes a manager's certificate, so every member had a node object: one without was removed.
      return node === undefined || node.Spec.Role === 'worker';
    });
  }

  /** Writes membership to Node.RaftID and ManagerAddr, which the CA and agents go by. */
  async #followMembership(): Promise<void> {
    const members = new Map<string, Member>();
    for (const member of this.#membership.members()) {
      // A node that comes back under a new id has two until it has caught up: the voter is the one that counts.
      if (member.voter || !members.has(member.nodeId)) members.set(member.nodeId, member);
    }
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

  /** Forgets removed nodes whose certificates have expired. Looks once an hour: it may be thousands. */
  async #forgetExpired(): Promise<void> {
    const { store, clock } = this.#context;
    await this.#moveRemoved();
    if (clock.monotonicMs() < this.#lookAgainMs) return;
    const expired = expiredRemoved(store, clock.now());
    await this.#writer.write(
      expired.map((ID) => (transaction) => {
        if (transaction.get('removed-node', ID) !== undefined)
          transaction.remove('removed-node', ID);
      }),
    );
    this.#lookAgainMs = clock.monotonicMs() + LOOK_FOR_EXPIRED_MS;
  }

  async #moveRemoved(): Promise<void> {
    const hasSome = () =>
      Object.keys(this.#context.store.cluster()?.Private.RemovedNodes ?? {}).length > 0;
    let isMore = hasSome();
    while (isMore && !this.#stopped) {
      isMore = false;
      await this.#writer.write([
        (transaction) => {
          isMore = moveRemoved(transaction);
        },
      ]);
    }
  }

  /** Refuses the certificates of nodes that are gone, and gives up their tasks. */
  async #cleanUp(): Promise<void> {
    const { store, clock } = this.#context;
    for (const node of [...this.#removed.values()]) {
      await this.#writer.write([(transaction) => refuseNode(transaction, node, clock.now())]);
      this.#removed.delete(node.ID);
    }
    await this.#forgetExpired();
    for (const nodeId of [...this.#gone]) {
      const message = 'the node was removed from the cluster';
      // First, because a task may come to the node while its others are written.
      this.#gone.delete(nodeId);
      if (!isGone(store, nodeId)) continue;
      try {
        await orphanTasks(store, this.#writer, nodeId, message, () => store.timeMs());
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
