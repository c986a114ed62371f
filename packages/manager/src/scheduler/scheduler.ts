import { compareStates, type NetworkAttachment, type Node, type Task } from '@swarm/api';
import type { AddressBook } from '../allocator/address-book.js';
import { wantedNetworks } from '../allocator/attachments.js';
import type { ControlLoop, LoopContext } from '../control-loop.js';
import { DebouncedPass } from '../store/debounced-pass.js';
import { SortedIds } from '../store/sorted-ids.js';
import { laterTime } from '../orchestrator/time.js';
import { SetAside } from '../set-aside.js';
import { isTooLarge } from '../store/batches.js';
import { type StoreChange, type StoreEvent, TRANSACTION_CHANGES_LIMIT } from '../store/store.js';
import { allFilters, type Filter, isReadByFilters, Pipeline } from './filters.js';
import { type NodeInfo, versionKey } from './node-info.js';
import { makesRoom, NodeSet } from './node-set.js';
import { Spread } from './spread.js';

/** One pass handles all events that come within this time, milliseconds. */
export const SCHEDULER_DEBOUNCE_MS = 5;
/** No event waits longer than this, milliseconds. */
export const SCHEDULER_LIMIT_MS = 50;

const MESSAGE_ASSIGNED = 'scheduler assigned task to node';
const MESSAGE_CONFIRMED = 'scheduler confirmed task can run on preassigned node';

/** Makes the leader's scheduler. */
export function createScheduler(context: LoopContext, addresses: AddressBook): ControlLoop {
  return new Scheduler(context, addresses);
}

/**
 * Assigns PENDING tasks to nodes, along with the addresses that depend on the node: taken from the address
 * book for the same transaction, they cost no extra round trip. For a task that already names a node (of a
 * global service) it only checks that node. A task that fits nowhere stays PENDING, says why, and is tried
 * again when something changes.
 */
class Scheduler implements ControlLoop {
  readonly name = 'scheduler';
  readonly #context: LoopContext;
  readonly #pass: DebouncedPass;
  readonly #aside: SetAside;
  #waiting = new SortedIds();
  /** Most decisions of the next transaction: fewer after one that came out too large. */
  #decisionsLimit = TRANSACTION_CHANGES_LIMIT;
  #nodes: NodeSet;
  readonly #addresses: AddressBook;
  readonly #filters: readonly Filter[];
  #unwatch: (() => void) | undefined;

  constructor(context: LoopContext, addresses: AddressBook) {
    this.#context = context;
    this.#addresses = addresses;
    this.#filters = allFilters(context.store, addresses);
    this.#aside = new SetAside(context.logger);
    this.#nodes = new NodeSet(this.#aside);
    this.#pass = new DebouncedPass({
      clock: context.clock,
      logger: context.logger,
      debounceMs: SCHEDULER_DEBOUNCE_MS,
      limitMs: SCHEDULER_LIMIT_MS,
      pass: (isStopped) => this.#run(isStopped),
    });
  }

  start(): void {
    this.#unwatch = this.#context.store.watch((change) => this.#onChange(change));
    this.#rebuild();
    this.#pass.start();
  }

  async stop(): Promise<void> {
    this.#unwatch?.();
    await this.#pass.stop();
  }

  #rebuild(): void {
    const { store } = this.#context;
    this.#nodes = NodeSet.of(store, this.#aside);
    this.#waiting = new SortedIds();
    for (const task of store.list('task')) if (isWaiting(task)) this.#waiting.add(task.ID);
    this.#pass.trigger();
  }

  #onChange({ reset, events }: StoreChange): void {
    if (reset) {
      this.#rebuild();
      return;
    }
    this.#aside.events(events, (event) => this.#onEvent(event));
  }

  #onEvent(event: StoreEvent): void {
    const { store, clock } = this.#context;
    this.#nodes.apply(store, event, clock.now());
    if (event.kind === 'task') {
      const { ID } = event.object;
      if (event.action !== 'remove' && isWaiting(event.object)) {
        const isNews = !this.#waiting.has(ID) || event.action === 'create';
        this.#waiting.add(ID);
        // The explanation that a pass writes comes back as an event too.
        if (isNews) this.#pass.trigger();
      } else this.#waiting.delete(ID);
    }
    if (this.#waiting.size > 0 && (makesRoom(event) || isReadByFilters(event)))
      this.#pass.trigger();
  }

  async #run(isStopped: () => boolean): Promise<void> {
    if (isStopped()) return;
    const decisions = this.#decide();
    if (decisions.length === 0) return;
    // There may be more to decide than one transaction holds.
    if (this.#isFull(decisions)) this.#pass.trigger();
    try {
      // Built in the same turn on what was just read: if another write changes a task first, this one fails.
      await this.#context.store.transact((transaction) => {
        for (const task of decisions) {
          this.#aside.guard(
            'task',
            task,
            () => transaction.update('task', task),
            () => this.#forget([task]),
          );
        }
      });
    } catch (error) {
      this.#forget(decisions);
      if (!isTooLarge(error) || decisions.length === 1) throw error;
      // Tasks carry their whole spec. Fewer are decided again, until all that wait are placed.
      this.#decisionsLimit = Math.ceil(decisions.length / 2);
      this.#pass.trigger();
      return;
    }
    if (!this.#isFull(decisions)) this.#decisionsLimit = TRANSACTION_CHANGES_LIMIT;
  }

  /** Whether a transaction holds no more decisions. */
  #isFull(decisions: readonly Task[]): boolean {
    return decisions.length >= this.#decisionsLimit;
  }

  /**
   * Places waiting tasks tentatively, as many as one transaction holds; node infos count them from here on.
   * So a pass stays short however many tasks wait. Tasks that cannot be placed and already say so take no
   * room, so the next pass gets further.
   */
  #decide(): Task[] {
    const { store } = this.#context;
    const decisions: Task[] = [];
    const groups = new Map<string, Task[]>();
    const preassigned: Task[] = [];
    for (const id of this.#waiting) {
      const task = store.get('task', id);
      if (task === undefined || !isWaiting(task)) continue;
      if (task.NodeID !== undefined && task.NodeID !== '') {
        preassigned.push(task);
        continue;
      }
      const key = task.ServiceID === '' ? `task ${task.ID}` : versionKey(task);
      const group = groups.get(key);
      if (group === undefined) groups.set(key, [task]);
      else group.push(task);
    }
    for (const task of preassigned) {
      if (this.#isFull(decisions)) break;
      this.#guard([task], () => this.#confirm(task, decisions), decisions);
    }
    for (const group of groups.values()) {
      if (this.#isFull(decisions)) break;
      this.#guard(group, () => this.#spread(group, decisions), decisions);
    }
    return decisions;
  }

  /** Tasks that cannot be placed for a fault say so, and take no other's place. */
  #guard(tasks: readonly Task[], place: () => void, decisions: Task[]): void {
    const decided = decisions.length;
    this.#aside.guard('task', tasks[0] as Task, place, (reason) => {
      this.#forget(decisions.splice(decided));
      for (const task of tasks) {
        if (!this.#isFull(decisions))
          this.#explain(task, `a fault in the cluster: ${reason}`, decisions);
      }
    });
  }

  /** A node that cannot be judged takes no task. */
  #fits(pipeline: Pipeline, info: NodeInfo): boolean {
    return this.#aside.guard(
      'node',
      info.node,
      () => pipeline.fits(info),
      () => false,
    );
  }

  #confirm(task: Task, decisions: Task[]): void {
    const info = this.#nodes.get(task.NodeID as string);
    const pipeline = new Pipeline(this.#filters, task);
    const missing = this.#missingNetwork(task);
    if (info === undefined) {
      this.#explain(task, `node ${task.NodeID} does not exist`, decisions);
    } else if (missing !== undefined) {
      this.#explain(task, missing, decisions);
    } else if (this.#fits(pipeline, info)) {
      decisions.push(this.#place(task, info, MESSAGE_CONFIRMED));
    } else {
      this.#explain(task, pipeline.explain([info], this.#nodes.all().length), decisions);
    }
  }

  /** Tasks of one service and spec version: the same requirements. */
  #spread(group: readonly Task[], decisions: Task[]): void {
    const first = group[0] as Task;
    const missing = this.#missingNetwork(first);
    if (missing !== undefined) {
      for (const task of group) {
        if (!this.#isFull(decisions)) this.#explain(task, missing, decisions);
      }
      return;
    }
    const pipeline = new Pipeline(this.#filters, first);
    const all = this.#nodes.all();
    const now = this.#context.clock.now();
    const spread = new Spread({
      serviceId: first.ServiceID,
      preferences: first.Spec.Placement?.Preferences,
      candidates: all.filter((info) => this.#fits(pipeline, info)),
      fits: (info) => this.#fits(pipeline, info),
      failures: (info) => info.recentFailures(versionKey(first), now),
    });
    let explanation: string | undefined;
    for (const { task, former } of this.#byNeed(group, () => explanation !== undefined)) {
      if (this.#isFull(decisions)) return;
      const isPlaced = explanation === undefined && this.#next(spread, task, former, decisions);
      if (isPlaced) continue;
      if (explanation === undefined) {
        const reasons = pipeline.explain(all, all.length);
        explanation = reasons === '' ? 'no suitable node' : `no suitable node (${reasons})`;
      }
      this.#explain(task, explanation, decisions);
    }
  }

  /**
   * Tasks with those that they replace. Tasks whose slot has nothing else come first: room that a slot made for
   * its own replacement must not go to one whose predecessor still runs.
   * @param isOver whether no task can be placed any more, so that order and predecessors do not matter
   */
  *#byNeed(group: readonly Task[], isOver: () => boolean): Generator<Waiting> {
    const later: Waiting[] = [];
    for (const task of group) {
      const former = isOver() ? [] : this.#nodes.predecessors(this.#context.store, task);
      if (former.length === 0) yield { task, former };
      else later.push({ task, former });
    }
    yield* later;
  }

  /** Places a task as if those that it replaces were gone. @returns false when no node has room */
  #next(spread: Spread, task: Task, former: readonly Task[], decisions: Task[]): boolean {
    const { store } = this.#context;
    const gone = former.filter((one) => this.#supersede(spread, one, true));
    const isPlaced = spread.next(
      (info) => decisions.push(this.#place(task, info, MESSAGE_ASSIGNED)),
      { node: this.#nodes.formerNode(store, task), isActive: former.length > 0 },
    );
    // As long as it has no node, what it replaces is what there is of the slot.
    if (!isPlaced) for (const one of gone) this.#supersede(spread, one, false);
    return isPlaced;
  }

  #supersede(spread: Spread, task: Task, isSuperseded: boolean): boolean {
    if (!this.#nodes.supersede(task, isSuperseded)) return false;
    const info = this.#nodes.get(task.NodeID ?? '');
    if (info !== undefined) spread.changed(info, isSuperseded ? -1 : 1);
    return true;
  }

  #missingNetwork(task: Task): string | undefined {
    const wanted = wantedNetworks(this.#context.store, task);
    return 'missing' in wanted ? wanted.missing : undefined;
  }

  #place(task: Task, info: NodeInfo, message: string): Task {
    const attachments = this.#attach(task, info.node);
    const policy = this.#context.store.cluster()?.Spec.HostPrivileges ?? 'none';
    const { Err: _err, ...status } = task.Status;
    const placed: Task = {
      ...task,
      NodeID: info.node.ID,
      Status: {
        ...status,
        State: 'assigned',
        Message: message,
        Timestamp: laterTime(status.Timestamp, this.#context.store.timeMs()),
      },
      ...(attachments.length === 0 ? {} : { NetworksAttachments: attachments }),
      ...(policy === 'none' ? {} : { HostPrivileges: policy }),
    };
    info.put(placed);
    return placed;
  }

  /** @throws Error when an address is missing: the filters have checked for each */
  #attach(task: Task, node: Node): readonly NetworkAttachment[] {
    const wanted = wantedNetworks(this.#context.store, task);
    const networks = 'missing' in wanted ? [] : wanted.networks;
    if (networks.length === 0) return task.NetworksAttachments ?? [];
    const attachments = this.#addresses.attach(task, networks, node);
    if (attachments === undefined) throw new Error(`node ${node.ID} has no address left`);
    return attachments;
  }

  /** Writes why the task waits, unless its status says so already. The time stays that of its state. */
  #explain(task: Task, reason: string, decisions: Task[]): void {
    if (task.Status.Err === reason) return;
    const Status = { ...task.Status, Err: reason };
    decisions.push({ ...task, Status });
  }

  /** Resets node infos and the address book to what the store says about these tasks. */
  #forget(decisions: readonly Task[]): void {
    for (const { ID, NodeID } of decisions) {
      this.#addresses.refresh(ID);
      if (NodeID !== undefined) this.#nodes.refresh(this.#context.store, ID, NodeID);
    }
  }
}

/** A task that waits for a node, and the active tasks of its slot, which it replaces. */
interface Waiting {
  readonly task: Task;
  readonly former: readonly Task[];
}

/** Whether the scheduler has something to do for the task. */
function isWaiting(task: Task): boolean {
  return task.Status.State === 'pending' && compareStates(task.DesiredState, 'complete') <= 0;
}
