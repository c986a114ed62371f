import {
  ApiError,
  type AttachReply,
  type AttachRequest,
  ATTACHMENT_RUNTIME,
  type Clock,
  type HeldPlace,
  isAttachment,
  isTerminal,
  type Network,
  type NetworkAttachment,
  newId,
  type Node,
  NODE_ATTACHMENTS_LIMIT,
  pause,
  type Task,
} from '@swarm/api';
import type { AddressBook } from '../allocator/address-book.js';
import { wantedNetworks } from '../allocator/attachments.js';
import { formatTime } from '../orchestrator/time.js';
import type { Store, Transaction, View } from '../store/store.js';
import { attachableNetwork, refuseBadNames } from './attach-rules.js';

/** Tries of a write: another one may change the node's places in between. */
const WRITE_ATTEMPTS = 5;
/** How long a new leader's address book gets to learn of a network, and how often to look. */
const BOOK_WAIT_MS = 2_000;
const BOOK_POLL_MS = 50;

const MESSAGE = 'has its addresses; its node attaches the container';

export interface NodeAttachmentsOptions {
  readonly store: Store;
  readonly addresses: AddressBook;
  readonly clock: Clock;
  readonly randomBytes: (size: number) => Uint8Array;
}

/**
 * Places of containers on networks, for the nodes whose engines run them: on the leader, where the address book is.
 * Each is a task without a service, bound to its node, with its addresses from the start.
 *
 * The naive way is a task that allocator and scheduler take through its states: the scheduler would have to be told
 * that a container which is there cannot be placed elsewhere, and a start of a container would wait for three writes.
 */
export class NodeAttachments {
  readonly #options: NodeAttachmentsOptions;

  constructor(options: NodeAttachmentsOptions) {
    this.#options = options;
  }

  /** @throws ApiError NOT_FOUND; PERMISSION_DENIED in Docker's words when containers may not join it */
  find(target: string): Network {
    return attachableNetwork(this.#options.store, target);
  }

  /** The places that the node has. */
  list(nodeId: string): readonly HeldPlace[] {
    const tasks = [...this.#options.store.tasksByNode(nodeId)].filter(
      (task) => isAttachment(task) && !isTerminal(task.Status.State),
    );
    return tasks.map(({ ID, Spec }) => ({
      TaskID: ID,
      ContainerID: Spec.NetworkAttachmentSpec?.ContainerID ?? '',
    }));
  }

  /**
   * Makes a container's places on networks exactly these. It keeps the addresses that it has.
   * @throws ApiError NOT_FOUND, PERMISSION_DENIED, INVALID_ARGUMENT; FAILED_PRECONDITION when a network is full, or
   *   the node has too many places
   */
  async attach(nodeId: string, request: AttachRequest): Promise<AttachReply> {
    const { store, clock } = this.#options;
    refuseBadNames(request);
    const until = clock.monotonicMs() + BOOK_WAIT_MS;
    for (let attempt = 1; ; attempt += 1) {
      const taken = { id: '' };
      try {
        await store.transact((transaction) => {
          taken.id = this.#place(transaction, nodeId, request);
        });
        return reply(store, taken.id);
      } catch (error) {
        if (taken.id !== '') this.#options.addresses.refresh(taken.id);
        const code = error instanceof ApiError ? error.code : undefined;
        // The book of a new leader may not have been read yet.
        if (error instanceof NoAddressError && clock.monotonicMs() < until)
          await pause(clock, BOOK_POLL_MS);
        else if (code !== 'OUT_OF_SEQUENCE' || attempt >= WRITE_ATTEMPTS) throw error;
      }
    }
  }

  /** Gives places of the node back; ignores those that are not its own or are gone. */
  async release(nodeId: string, taskIds: readonly string[]): Promise<void> {
    const { store } = this.#options;
    for (let attempt = 1; ; attempt += 1) {
      const own = taskIds.filter((id) => isOwn(store.get('task', id), nodeId));
      if (own.length === 0) return;
      try {
        for (const batch of batches(own)) {
          await store.transact((transaction) => {
            for (const id of batch)
              if (isOwn(transaction.get('task', id), nodeId)) transaction.remove('task', id);
          });
        }
        return;
      } catch (error) {
        const isRace = error instanceof ApiError && error.code === 'OUT_OF_SEQUENCE';
        if (!isRace || attempt >= WRITE_ATTEMPTS) throw error;
      }
    }
  }

  /** @returns the id of the task */
  #place(transaction: Transaction, nodeId: string, request: AttachRequest): string {
    const { store, randomBytes } = this.#options;
    const node = transaction.get('node', nodeId);
    if (node === undefined) throw new ApiError('NOT_FOUND', `node ${nodeId} not found`);
    const places = [...transaction.tasksByNode(nodeId)].filter(isAttachment);
    const known = places.find((task) => isPlaceOf(task, request.ContainerID));
    if (known === undefined && places.length >= NODE_ATTACHMENTS_LIMIT) {
      throw new ApiError(
        'FAILED_PRECONDITION',
        `node ${nodeId} has ${NODE_ATTACHMENTS_LIMIT} containers on networks of the cluster: stop some first`,
      );
    }
    const Networks = request.Networks.map(({ Target, Aliases }) => {
      const { ID } = attachableNetwork(transaction, Target);
      return { Target: ID, ...(Aliases.length > 0 && { Aliases }) };
    });
    const Endpoint = { Ports: request.Ports };
    const Spec: Task['Spec'] = {
      ForceUpdate: 0,
      Runtime: ATTACHMENT_RUNTIME,
      NetworkAttachmentSpec: { ContainerID: request.ContainerID },
      Networks,
    };
    const ID = known?.ID ?? newId(randomBytes);
    const wanted = this.#wanted(transaction, { Spec, Endpoint });
    const kept = (known?.NetworksAttachments ?? []).filter(({ Network }) =>
      wanted.some((network) => network.ID === Network.ID),
    );
    const NetworksAttachments = this.#addresses({ ID, NetworksAttachments: kept }, wanted, node);
    if (known !== undefined) {
      transaction.update('task', {
        ...known,
        Name: request.Name,
        Spec,
        Endpoint,
        NetworksAttachments,
      });
      return ID;
    }
    const now = formatTime(store.timeMs());
    transaction.create('task', {
      ID,
      Name: request.Name,
      Labels: {},
      Spec,
      SpecVersion: { Index: 0 },
      ServiceID: '',
      ServiceName: '',
      ServiceLabels: {},
      Slot: 0,
      NodeID: nodeId,
      Status: { Timestamp: now, AppliedAt: now, State: 'running', Message: MESSAGE },
      DesiredState: 'running',
      Endpoint,
      NetworksAttachments,
    });
    return ID;
  }

  #wanted(view: View, task: Pick<Task, 'Spec' | 'Endpoint'>): readonly Network[] {
    const wanted = wantedNetworks(view, task);
    if ('missing' in wanted) throw new ApiError('FAILED_PRECONDITION', wanted.missing);
    return wanted.networks;
  }

  #addresses(
    task: Pick<Task, 'ID' | 'NetworksAttachments'>,
    networks: readonly Network[],
    node: Node,
  ): readonly NetworkAttachment[] {
    const { addresses } = this.#options;
    const given = addresses.attach(task, networks, node);
    if (given !== undefined) return given;
    const full = networks.find(({ ID }) => !addresses.hasRoom(ID, node));
    throw new NoAddressError(full?.Spec.Name ?? '');
  }
}

/** The network has no free address; or this leader does not know its addresses yet. */
class NoAddressError extends ApiError {
  constructor(network: string) {
    super(
      'FAILED_PRECONDITION',
      `the network ${network} has no free address: stop tasks or containers on it, or use a larger subnet`,
    );
  }
}

/** Removals of one transaction. */
const RELEASE_BATCH = 100;

function batches(ids: readonly string[]): string[][] {
  const found: string[][] = [];
  for (let at = 0; at < ids.length; at += RELEASE_BATCH)
    found.push(ids.slice(at, at + RELEASE_BATCH));
  return found;
}

function isOwn(task: Task | undefined, nodeId: string): boolean {
  return task !== undefined && isAttachment(task) && task.NodeID === nodeId;
}

function isPlaceOf(task: Task, containerId: string): boolean {
  return (
    task.Spec.NetworkAttachmentSpec?.ContainerID === containerId && !isTerminal(task.Status.State)
  );
}

function reply(view: View, taskId: string): AttachReply {
  const task = view.get('task', taskId);
  if (task === undefined)
    throw new ApiError('FAILED_PRECONDITION', 'the place was given back meanwhile: start it again');
  const networks = (task.NetworksAttachments ?? []).flatMap(
    ({ Network }) => view.get('network', Network.ID) ?? [],
  );
  // Labels stay with the managers.
  const Networks = networks.map((one) => ({ ...one, Spec: { ...one.Spec, Labels: {} } }));
  return { Task: task, Networks };
}
