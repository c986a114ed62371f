import type { Network, Node, PortKey, Revision, Service, Task } from '@swarm/api';
import { IndexOf } from './index-of.js';
import { countsAsManager } from './manager-nodes.js';
import {
  attachedKeysOf,
  conflictKeysOf,
  managerPortsOf,
  meshKey,
  networkKeysOf,
  nodeNameOf,
  portKeysOf,
  slotKey,
  slotKeyOf,
} from './object-keys.js';
import type { SortedIds } from './sorted-ids.js';
import type { Kind, Objects } from './store.js';

/** Key of the indexes that are one list. */
const ALL = '';

/**
 * Every index over the objects as they may be read, besides those of ids and names. A reader that would look
 * at all objects to find a few gets an index here instead.
 */
export class Indexes {
  readonly #tasksByService = new IndexOf<Task>((task) => task.ServiceID);
  readonly #tasksByNode = new IndexOf<Task>((task) => task.NodeID);
  readonly #tasksBySlot = new IndexOf<Task>(slotKeyOf);
  readonly #revisionsByService = new IndexOf<Revision>(({ ServiceID }) => ServiceID);
  readonly #managers = new IndexOf<Node>((node) => (countsAsManager(node) ? ALL : undefined));
  readonly #nodesByName = new IndexOf<Node>(nodeNameOf);
  readonly #nodesByPlace = new IndexOf<Node>(({ Mesh }) => Mesh && meshKey(Mesh.Index));
  readonly #managersByPort = new IndexOf<Node>(managerPortsOf);
  readonly #nodesByConflict = new IndexOf<Node>(conflictKeysOf);
  readonly #servicesByPort = new IndexOf<Service>(portKeysOf);
  readonly #servicesByCreationKey = new IndexOf<Service>(({ Creation }) => Creation?.Key);
  readonly #servicesByNetwork = new IndexOf<Service>(networkKeysOf);
  readonly #tasksByNetwork = new IndexOf<Task>(attachedKeysOf);
  readonly #ingressNetworks = new IndexOf<Network>(({ Spec }) => (Spec.Ingress ? ALL : undefined));

  /** Follows a change of one object; undefined where there was or is nothing that can be read. */
  replace(kind: Kind, before: Objects[Kind] | undefined, after: Objects[Kind] | undefined): void {
    for (const index of this.#byKind[kind] ?? []) {
      (index as IndexOf<Objects[Kind]>).replace(before, after);
    }
  }

  readonly #byKind: Readonly<Partial<Record<Kind, readonly IndexOf<never>[]>>> = {
    task: [this.#tasksByService, this.#tasksByNode, this.#tasksBySlot, this.#tasksByNetwork],
    node: [
      this.#managers,
      this.#nodesByName,
      this.#nodesByPlace,
      this.#managersByPort,
      this.#nodesByConflict,
    ],
    service: [this.#servicesByPort, this.#servicesByCreationKey, this.#servicesByNetwork],
    network: [this.#ingressNetworks],
    revision: [this.#revisionsByService],
  };

  tasksByService(serviceId: string): SortedIds | undefined {
    return this.#tasksByService.get(serviceId);
  }

  tasksByNode(nodeId: string): SortedIds | undefined {
    return this.#tasksByNode.get(nodeId);
  }

  tasksBySlot(serviceId: string, slot: number): SortedIds | undefined {
    return this.#tasksBySlot.get(slotKey(serviceId, slot));
  }

  revisionsByService(serviceId: string): SortedIds | undefined {
    return this.#revisionsByService.get(serviceId);
  }

  managers(): SortedIds | undefined {
    return this.#managers.get(ALL);
  }

  nodesByName(name: string): SortedIds | undefined {
    return this.#nodesByName.get(name);
  }

  nodesByPlace(index: number): SortedIds | undefined {
    return this.#nodesByPlace.get(meshKey(index));
  }

  managersByPort(key: PortKey): SortedIds | undefined {
    return this.#managersByPort.get(key);
  }

  nodesByConflict(key: PortKey): SortedIds | undefined {
    return this.#nodesByConflict.get(key);
  }

  servicesByPort(key: PortKey): SortedIds | undefined {
    return this.#servicesByPort.get(key);
  }

  servicesByCreationKey(key: string): SortedIds | undefined {
    return this.#servicesByCreationKey.get(key);
  }

  servicesByNetwork(networkId: string): SortedIds | undefined {
    return this.#servicesByNetwork.get(networkId);
  }

  tasksByNetwork(networkId: string): SortedIds | undefined {
    return this.#tasksByNetwork.get(networkId);
  }

  ingressNetworks(): SortedIds | undefined {
    return this.#ingressNetworks.get(ALL);
  }
}
