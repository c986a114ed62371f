import { ApiError, isAttachment, type Network, type Task } from '@swarm/api';
import type { AddressBook } from '../allocator/address-book.js';
import { find } from '../api/lookup.js';
import { attachableNetwork } from './attach-rules.js';
import type { Store, View } from '../store/store.js';

/** Tries of a write: the task's node may report its status in between. */
const WRITE_ATTEMPTS = 5;

/** An operator's tool: joins running tasks of services to further networks, until they end. */
export class TaskConnections {
  readonly #store: Store;
  readonly #addresses: AddressBook;

  constructor(store: Store, addresses: AddressBook) {
    this.#store = store;
    this.#addresses = addresses;
  }

  /**
   * Gives a running task addresses on a network. Its spec stays, so what replaces it is not on the network.
   * @throws ApiError NOT_FOUND; PERMISSION_DENIED when the network is not attachable, or the task is on it;
   *   FAILED_PRECONDITION when the task cannot be connected
   */
  async connect(target: string, name: string): Promise<void> {
    await this.#write(name, (task, view) => {
      const network = attachableNetwork(view, target);
      const attachments = task.NetworksAttachments ?? [];
      if (attachments.some(({ Network: { ID } }) => ID === network.ID))
        throw new ApiError(
          'PERMISSION_DENIED',
          `endpoint with name ${task.Name} already exists in network ${network.Spec.Name}`,
        );
      if (attachments.length === 0)
        throw new ApiError(
          'FAILED_PRECONDITION',
          `task ${task.Name} has no network of the cluster, so no network namespace that could join one: give its service a network or a published port`,
        );
      const node = view.get('node', task.NodeID ?? '');
      const given = this.#addresses.attach(task, [network], node);
      if (given === undefined)
        throw new ApiError(
          'FAILED_PRECONDITION',
          `the network ${network.Spec.Name} has no free address: stop tasks or containers on it, or use a larger subnet`,
        );
      return { ...task, NetworksAttachments: given };
    });
  }

  /** Takes a running task from a network that it was connected to. @throws ApiError as `connect` */
  async disconnect(target: string, name: string): Promise<void> {
    await this.#write(name, (task, view) => {
      const network = find(view, 'network', target);
      const attachments = task.NetworksAttachments ?? [];
      const NetworksAttachments = attachments.filter(({ Network: { ID } }) => ID !== network.ID);
      if (NetworksAttachments.length === attachments.length)
        throw new ApiError(
          'NOT_FOUND',
          `task ${task.Name} is not connected to network ${network.Spec.Name}`,
        );
      if (isOfSpec(task, network))
        throw new ApiError(
          'FAILED_PRECONDITION',
          `task ${task.Name} is on ${network.Spec.Name} by its service: use swarm service update --network-rm`,
        );
      return { ...task, NetworksAttachments };
    });
  }

  async #write(name: string, change: (task: Task, view: View) => Task): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      let taskId = '';
      try {
        await this.#store.transact((transaction) => {
          const task = runningTask(transaction, name);
          taskId = task.ID;
          transaction.update('task', change(task, transaction));
        });
        return;
      } catch (error) {
        if (taskId !== '') this.#addresses.refresh(taskId);
        const isRace = error instanceof ApiError && error.code === 'OUT_OF_SEQUENCE';
        if (!isRace || attempt >= WRITE_ATTEMPTS) throw error;
      }
    }
  }
}

function runningTask(view: View, name: string): Task {
  const task = find(view, 'task', name);
  if (isAttachment(task))
    throw new ApiError(
      'FAILED_PRECONDITION',
      `${task.Name} is a container of node ${task.NodeID ?? ''}: connect it on that node, with docker network connect`,
    );
  if (task.Status.State !== 'running' || task.DesiredState !== 'running')
    throw new ApiError('FAILED_PRECONDITION', `task ${task.Name} does not run`);
  return task;
}

function isOfSpec({ Spec, NetworksAttachments = [] }: Task, network: Network): boolean {
  const targets = (Spec.Networks ?? []).map(({ Target }) => Target);
  const isNamed = targets.includes(network.ID) || targets.includes(network.Spec.Name);
  return isNamed || network.Spec.Ingress || NetworksAttachments.length < 2;
}
