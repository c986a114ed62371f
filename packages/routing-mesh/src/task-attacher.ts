import { type IpAddress, isIpv6, meshPortKey, type SerialQueue } from '@swarm/api';
import { derivedAddresses } from './address.js';
import type { CheckedAttachment, CheckedTask } from './checked.js';
import type { NetworkId, TaskId } from './layout.js';
import { gatewayPlace } from './links/gateway.js';
import type { LocalTasks } from './local-tasks.js';
import type { HostPort } from './mesh.js';
import type { MeshParts } from './mesh-parts.js';
import { hostPortRefusal, type PortGuard } from './port-guard.js';
import type { StateHolder } from './state-holder.js';

export interface TaskAttacherOptions {
  readonly parts: MeshParts;
  readonly tasks: LocalTasks;
  readonly guard: PortGuard;
  readonly holder: StateHolder;
  /** All changes of parts, except those of a single task's links. */
  readonly changes: SerialQueue;
  /** Whether tasks get an address of IPv6 for each of IPv4 that they have on the ingress network. */
  readonly carriesIpv6: () => boolean;
  /** @throws when nothing can be written any more */
  readonly refuseIfClosed: () => void;
  /** Nothing can be written any more, and what goes is no longer ours. */
  readonly isOver: () => boolean;
}

/** Gives tasks of this node their links, networks, names and host ports, and takes them away, each in its order. */
export class TaskAttacher {
  readonly #options: TaskAttacherOptions;

  constructor(options: TaskAttacherOptions) {
    this.#options = options;
  }

  #withIpv6(task: CheckedTask): CheckedTask {
    if (!this.#options.carriesIpv6()) return task;
    const attachments = task.attachments.map((one): CheckedAttachment => {
      if (one.overlay !== undefined) return one;
      const derived = one.addresses.flatMap(derivedAddresses);
      const [first, ...more] = new Set([...one.addresses, ...derived]);
      return { ...one, addresses: [first!, ...more] };
    });
    return { ...task, attachments };
  }

  /** @param isAdopted links that exist stay untouched, with their connections */
  async attach(given: CheckedTask, { isAdopted }: { readonly isAdopted: boolean }): Promise<void> {
    const task = this.#withIpv6(given);
    const { taskId, netns, attachments, hostPorts } = task;
    const { tunnel, encryption, links, balancer, names, overlay } = this.#options.parts;
    // What it listens on is looked at again, by `servesIpv6`, except after a restart of the daemon.
    const servesIpv6 = isAdopted && this.#options.tasks.get(taskId)?.servesIpv6 === true;
    const local = { taskId, addresses: addressesOf(task), hostPorts, servesIpv6 };
    const before = this.#options.tasks.claim(task, local);
    try {
      this.#options.refuseIfClosed();
      const overlays = attachments.flatMap((one) => one.overlay ?? []);
      const left = this.#options.tasks.overlaysOf(taskId);
      await this.#options.changes.run(() => encryption.cover(taskId, [...left, ...overlays]));
      const mtuBytes = tunnel.mtuBytes;
      const linked = attachments.map((one) => withinMtu(one, encryption.mtuBytes));
      const wishes = { taskId, netns, attachments: linked, mtuBytes };
      if (!isAdopted || !(await links.isAttached(wishes))) await links.attach(wishes);
      await this.#options.changes.run(async () => {
        this.#options.refuseIfClosed();
        await encryption.cover(taskId, overlays);
        await overlay.attach(task);
        if (overlays.length > 0) {
          const { names: own, nameservers } = task;
          const touched = this.#options.tasks.setOverlays(taskId, overlays);
          await names.attach({ taskId, netns, attachments, names: own, nameservers });
          await this.#options.holder.followTasks(new Map([[taskId, touched]]));
        }
        await this.#refuseTakenPorts(hostPorts);
        await balancer.attach(local);
        this.#options.tasks.setLinks(task);
      });
    } catch (error) {
      if (before.task === undefined) await this.#closePorts([taskId]);
      await links.detach(taskId);
      await this.#leaveNetworks([taskId]);
      await this.#uncover([taskId]);
      this.#options.tasks.restore(taskId, before);
      throw error;
    }
  }

  /** Only within `changes`. @throws when one of these host ports is not free for a task */
  async #refuseTakenPorts(hostPorts: readonly HostPort[]): Promise<void> {
    if (hostPorts.length === 0) return;
    const ports = this.#options.holder.ports();
    await this.#options.guard.look(ports);
    const withheld = await this.#options.guard.check(ports);
    for (const key of hostPorts.map(meshPortKey)) {
      const why = withheld.get(key);
      if (why !== undefined) throw new Error(hostPortRefusal(key, why));
    }
  }

  /** Ignores unknown tasks. */
  async detach(taskId: TaskId): Promise<void> {
    const { links, balancer } = this.#options.parts;
    const task = this.#options.tasks.forget(taskId);
    await this.#closePorts([taskId]);
    // Before the walls go: without them its packets, if any still come, would leave by the host's default route.
    await links.detach(taskId);
    await this.#leaveNetworks([taskId]);
    await this.#uncover([taskId]);
    if (task !== undefined) await balancer.cut(task.addresses);
  }

  /** Removes all tasks but these. */
  async retain(taskIds: ReadonlySet<string>): Promise<void> {
    const { links, balancer } = this.#options.parts;
    const found = await links.list();
    const isGone = (taskId: TaskId | undefined): taskId is TaskId =>
      taskId !== undefined && !taskIds.has(taskId);
    const gone = new Set(
      [...this.#options.tasks.all.keys(), ...found.map(({ taskId }) => taskId)].filter(isGone),
    );
    const addresses = new Set(found.flatMap((link) => (isGone(link.taskId) ? link.addresses : [])));
    for (const taskId of gone) {
      for (const address of this.#options.tasks.forget(taskId)?.addresses ?? [])
        addresses.add(address);
    }
    await this.#closePorts([...gone]);
    await links.retain(taskIds);
    await this.#leaveNetworks([...gone]);
    await this.#options.changes.run(async () => {
      if (!this.#options.isOver()) await this.#options.parts.names.retain(taskIds);
    });
    await this.#uncover([...gone]);
    await balancer.cut([...addresses]);
  }

  /**
   * A task may go after the mesh: its ports went with the table, or stay in it for the next process, which
   * removes what belongs to no task.
   */
  #closePorts(taskIds: readonly TaskId[]): Promise<void> {
    return this.#options.changes.run(async () => {
      if (!this.#options.isOver()) await this.#options.parts.balancer.detach(taskIds);
    });
  }

  /** Tasks that are going leave their overlay networks. */
  #leaveNetworks(taskIds: readonly TaskId[]): Promise<void> {
    return this.#options.changes.run(async () => {
      const left = new Map<TaskId, ReadonlySet<NetworkId>>();
      for (const taskId of taskIds) {
        const networks = this.#options.tasks.setOverlays(taskId, []);
        if (networks.size > 0) left.set(taskId, networks);
      }
      if (this.#options.isOver()) return;
      await this.#options.parts.names.detach(taskIds);
      await this.#options.parts.overlay.detach(taskIds);
      if (left.size > 0) await this.#options.holder.followTasks(left);
    });
  }

  #uncover(taskIds: readonly TaskId[]): Promise<void> {
    return this.#options.changes.run(async () => {
      if (!this.#options.isOver()) await this.#options.parts.encryption.uncover(taskIds);
    });
  }
}

/** The attachment with links whose packets still fit when they are encrypted. */
function withinMtu(attachment: CheckedAttachment, limitBytes: number): CheckedAttachment {
  const { overlay } = attachment;
  if (overlay?.isEncrypted !== true) return attachment;
  const mtuBytes = Math.min(overlay.mtuBytes ?? limitBytes, limitBytes);
  return { ...attachment, overlay: { ...overlay, mtuBytes } };
}

/**
 * All addresses of a task, those first that its host ports lead to. In the host's network, all attachments are at
 * one address.
 * @throws RangeError when it has host ports, and no network that lets clients in
 */
function addressesOf({ taskId, attachments, hostPorts }: CheckedTask): readonly IpAddress[] {
  const gateway = gatewayPlace(attachments, (address) => !isIpv6(address));
  const isClosed = attachments.every(({ overlay }) => overlay?.isInternal === true);
  if (hostPorts.length > 0 && isClosed) {
    throw new RangeError(
      `mesh: task ${taskId} cannot have host ports: all its networks are internal; attach it to one that is not`,
    );
  }
  const first = gateway === undefined ? [] : attachments[gateway]!.addresses;
  return [...new Set([...first, ...attachments.flatMap((one) => one.addresses)])];
}
