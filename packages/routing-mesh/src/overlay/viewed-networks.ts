import type {
  CheckedMember,
  CheckedOverlay,
  CheckedPeer,
  CheckedService,
  CheckedState,
  StateChange,
} from '../checked.js';
import type { NetworkId, TaskId } from '../layout.js';
import { Avoidance } from '../paths/avoid.js';
import type { StateIndex } from '../state-index.js';
import type {
  NetworkTouch,
  NetworkTouches,
  NetworkViews,
  ViewedMember,
  ViewedService,
} from './network-view.js';

/** What the views are made from. */
export interface ViewSource {
  readonly state: Pick<CheckedState, 'services' | 'members'>;
  readonly index: StateIndex;
  /** Nodes that this one can reach, itself included. */
  readonly peers: ReadonlyMap<string, CheckedPeer>;
  /** Nodes to which packets do not get through. */
  readonly unreached: ReadonlySet<string>;
}

interface View {
  overlay: CheckedOverlay;
  readonly services: Map<string, ViewedService>;
  readonly members: Map<TaskId, ViewedMember>;
}

interface Touch {
  readonly services: Set<string>;
  readonly members: Set<TaskId>;
}

/** The networks that tasks of this node are on, as these see them. A change costs as much as what it names. */
export class ViewedNetworks {
  readonly #views = new Map<NetworkId, View>();
  readonly #avoidance = new Avoidance();

  get views(): NetworkViews {
    return this.#views;
  }

  /** Makes all views from scratch. */
  replace(overlays: Iterable<CheckedOverlay>, source: ViewSource): void {
    this.#views.clear();
    this.#avoidance.follow(source.unreached);
    for (const overlay of overlays) this.#add(overlay, source);
  }

  /** Takes in what changed in the state. @param source after the change */
  change(change: StateChange, source: ViewSource): NetworkTouches {
    const touched = new Map<NetworkId, Touch>();
    if (this.#views.size === 0) return touched;
    const { state } = source;
    for (const [id, before] of change.services) {
      const after = state.services.get(id);
      for (const networkId of networksOf(before, after)) {
        const view = this.#views.get(networkId);
        if (view === undefined) continue;
        touchIn(touched, networkId).services.add(id);
        if (after?.networks.has(networkId) !== true) view.services.delete(id);
        else view.services.set(id, viewedService(after, networkId));
      }
    }
    for (const [id, before] of this.#affected(change, source)) {
      const after = state.members.get(id);
      for (const networkId of networksOf(before, after)) {
        const view = this.#views.get(networkId);
        if (view === undefined) continue;
        touchIn(touched, networkId).members.add(id);
        this.#putMember(view, networkId, id, after, source);
      }
    }
    return touched;
  }

  /**
   * Follows tasks of this node that came, went, or changed their networks.
   * @param overlayOf a network of this node's tasks
   * @param tasks those tasks, with every network that they are or were on
   */
  followTasks(
    overlayOf: (networkId: NetworkId) => CheckedOverlay | undefined,
    tasks: ReadonlyMap<TaskId, Iterable<NetworkId>>,
    source: ViewSource,
  ): NetworkTouches {
    const touched = new Map<NetworkId, Touch>();
    const whole = new Set<NetworkId>();
    for (const [taskId, networks] of tasks) {
      for (const networkId of networks) {
        const overlay = overlayOf(networkId);
        const view = this.#views.get(networkId);
        if (overlay === undefined) {
          this.#views.delete(networkId);
          whole.add(networkId);
        } else if (view === undefined) {
          this.#add(overlay, source);
          whole.add(networkId);
        } else {
          view.overlay = overlay;
          touchIn(touched, networkId).members.add(taskId);
        }
      }
    }
    const found = new Map<NetworkId, NetworkTouch>(touched);
    for (const networkId of whole) found.set(networkId, 'all');
    return found;
  }

  #add(overlay: CheckedOverlay, source: ViewSource): void {
    const { networkId } = overlay;
    const view: View = { overlay, services: new Map(), members: new Map() };
    this.#views.set(networkId, view);
    for (const [id, service] of source.index.servicesOn(networkId))
      view.services.set(id, viewedService(service, networkId));
    for (const [id, member] of source.index.membersOn(networkId))
      this.#putMember(view, networkId, id, member, source);
  }

  #putMember(
    view: View,
    networkId: NetworkId,
    id: TaskId,
    member: CheckedMember | undefined,
    { peers, index }: ViewSource,
  ): void {
    const addresses = member?.networks.get(networkId) ?? [];
    if (member === undefined || addresses.length === 0) {
      view.members.delete(id);
      return;
    }
    const peer = peers.get(member.nodeId);
    view.members.set(id, { member: this.#avoidance.member(member, index), addresses, peer });
  }

  /** Whether a task is avoided depends on the others of its service. */
  #affected(
    { members }: StateChange,
    { state, index, unreached }: ViewSource,
  ): ReadonlyMap<TaskId, CheckedMember | undefined> {
    if (unreached.size === 0) return members;
    const affected = new Map(members);
    for (const [id, before] of members) {
      for (const one of [before, state.members.get(id)]) {
        if (one === undefined || one.serviceId === '') continue;
        for (const [other, member] of index.membersOf(one.serviceId))
          if (!affected.has(other)) affected.set(other, member);
      }
    }
    return affected;
  }
}

function touchIn(touched: Map<NetworkId, Touch>, networkId: NetworkId): Touch {
  let touch = touched.get(networkId);
  if (touch === undefined) {
    touch = { services: new Set(), members: new Set() };
    touched.set(networkId, touch);
  }
  return touch;
}

function networksOf(
  before: { readonly networks: ReadonlyMap<NetworkId, unknown> } | undefined,
  after: { readonly networks: ReadonlyMap<NetworkId, unknown> } | undefined,
): ReadonlySet<NetworkId> {
  return new Set([...(before?.networks.keys() ?? []), ...(after?.networks.keys() ?? [])]);
}

function viewedService(service: CheckedService, networkId: NetworkId): ViewedService {
  const { aliases, vips } = service.networks.get(networkId)!;
  const names = [...new Set([service.name, ...aliases])];
  return { serviceId: service.serviceId, names, vips };
}
