import type { Node, Timer } from '@swarm/api';
import type { ControlLoop, LoopContext } from '../control-loop.js';
import { BatchWriter, WriterStopped } from '../dispatcher/batch-writer.js';
import { orphanTasks } from '../dispatcher/orphan-tasks.js';
import type { StoreChange, View } from '../store/store.js';
import { canDemote, type Member } from './can-demote.js';
import { pruneRemoved, refuseNode } from './remove-node.js';

/** What could not be done is tried again this often, as is what no event tells of. */
const RECONCILE_MS = 5_000;

/** The Raft group, as far as roles need it. */
export interface Membership {
  members(): readonly Member[];
  /** Resolves when the group has agreed that the member is out. */
  remove(raftId: number): Promise<void>;
  /** Whether this node is that member and leads. */
  isSelf(raftId: number): boolean;
  /** Gives leadership to another reachable voter; this loop is stopped by it. */
  transferAway(): Promise<void>;
}

/**
 * Makes Raft membership follow the roles that nodes shall have. A demoted node leaves the Raft group
 * first; only then does the CA certify it as a worker (see `certifiedRole`), so a node never has the
 * certificate of a worker and a vote. Also cleans up after nodes that were removed.
 */
export function createRoleManager(context: LoopContext, membership: Membership): ControlLoop {
  let run: RoleManagerRun | undefined;
  return {
    name: 'role-manager',
    start() {
      run ??= new RoleManagerRun(context, membership);
    },
    async stop() {
      const stopping = run;
      run = undefined;
      await stopping?.stop();
    },
  };
}

class RoleManagerRun {
  readonly #context: LoopContext;
  readonly #membership: Membership;
  readonly #writer: BatchWriter;
  readonly #unwatch: () => void;
  /** Nodes that were removed and whose certificates may not be refused yet. */
  readonly #removed = new Map<string, Node>();
  #timer: Timer;
  #pass: Promise<void> | undefined;
  #again = false;
  #stopped = false;

  constructor(context: LoopContext, membership: Membership) {
    this.#context = context;
    this.#membership = membership;
    this.#writer = new BatchWriter(context.store, context.clock);
    this.#unwatch = context.store.watch((change) => this.#changed(change));
    this.#reconcile();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#unwatch();
    this.#context.clock.clearTimeout(this.#timer);
    await this.#writer.stop();
    await this.#pass;
  }

  #changed(change: StoreChange): void {
    let concerned = change.reset;
    for (const event of change.events) {
      concerned ||= event.kind === 'cluster' && event.action === 'create';
      if (event.kind !== 'node') continue;
      concerned ||=
        event.action !== 'update' ||
        event.previous.Spec.Role !== event.object.Spec.Role ||
        event.previous.RaftID !== event.object.RaftID;
      if (event.action === 'remove' && isGone(this.#context.store, event.object.ID))
        this.#removed.set(event.object.ID, event.object);
    }
    if (concerned) this.#reconcile();
  }

  /** One pass at a time; what happens during one makes another. */
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
        logger.warn({ err: error }, 'roles could not be reconciled, will try again');
      })
      .finally(() => {
        this.#pass = undefined;
        if (this.#stopped) return;
        if (this.#again) this.#reconcile();
        else this.#timer = clock.setTimeout(() => this.#reconcile(), RECONCILE_MS);
      });
  }

  async #once(): Promise<void> {
    // A first manager leads before it has written its cluster: nobody has a role yet.
    if (this.#context.store.cluster() === undefined) return;
    await this.#cleanUp();
    for (const member of this.#membership.members()) {
      if (this.#stopped) return;
      const { store } = this.#context;
      const node = store.get('node', member.nodeId);
      // Nobody knows what role it should have.
      if (store.setAside('node', member.nodeId) !== undefined) continue;
      // A node that just joined may be a member an instant before its object is seen; only a manager's
      // certificate made it one, so without an object it was removed.
      if (node === undefined || node.Spec.Role === 'worker') await this.#removeMember(member);
    }
    await this.#followMembership();
  }

  async #removeMember(member: Member): Promise<void> {
    const { logger } = this.#context;
    const { nodeId, raftId } = member;
    const reason = canDemote(this.#membership.members(), nodeId);
    if (reason !== undefined) {
      logger.warn({ nodeId, reason }, 'a manager can not leave the Raft group yet');
      return;
    }
    if (this.#membership.isSelf(raftId)) {
      logger.info({ nodeId }, 'this leader shall be no manager any more, leadership is handed on');
      await this.#membership.transferAway();
      return;
    }
    await this.#membership.remove(raftId);
    logger.info({ nodeId, raftId }, 'manager left the Raft group');
  }

  /** Node.RaftID and ManagerAddr say who is in the group; the CA and agents go by them. */
  async #followMembership(): Promise<void> {
    const members = new Map<string, Member>();
    for (const member of this.#membership.members()) members.set(member.nodeId, member);
    const { store } = this.#context;
    const stale: string[] = [];
    for (const node of store.list('node')) {
      if (follow(node, members.get(node.ID)) !== node) stale.push(node.ID);
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
    const gone = new Set<string>();
    for (const { NodeID } of store.list('task')) {
      if (NodeID !== undefined && isGone(store, NodeID)) gone.add(NodeID);
    }
    for (const nodeId of gone) {
      const message = 'the node was removed from the cluster';
      await orphanTasks(store, this.#writer, nodeId, message, () => clock.now());
    }
  }
}

/** Removed, not only unreadable. */
function isGone(view: View, nodeId: string): boolean {
  return view.get('node', nodeId) === undefined && view.setAside('node', nodeId) === undefined;
}

/** The node with the fields that mirror its membership; the same object when they do already. */
function follow(node: Node, member: Member | undefined): Node {
  if (member === undefined) {
    // A manager that is about to join has its certificate and no membership yet.
    if (node.RaftID === undefined) return node;
    const { RaftID: _id, ManagerAddr: _address, ...rest } = node;
    return rest;
  }
  if (node.RaftID === member.raftId && node.ManagerAddr === member.address) return node;
  return { ...node, RaftID: member.raftId, ManagerAddr: member.address };
}
