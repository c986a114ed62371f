import type { Logger } from '@swarm/api';
import { CommandError, type RunCommand } from '../kernel/command.js';
import { TASK_DEVICE, TASK_GATEWAY, TASK_LINK_PREFIX, taskLinkName, taskMacs } from '../layout.js';
import type { TaskAttachment } from '../mesh.js';
import { tuneTaskLink } from './sysctls.js';

/** A task's link as the kernel lists it: all that a restarted daemon must know again. */
export interface TaskLink {
  readonly link: string;
  readonly taskId: string;
  readonly address: string;
}

const TASK_ID = /^[A-Za-z0-9]{1,64}$/;

interface LinkListing {
  readonly ifname: string;
  readonly ifalias?: string;
}

/**
 * The links between the host and its tasks: a veth pair each, a /32 route to the task, and permanent
 * neighbour entries on both ends, so no ARP is ever asked. The task id is the link's alias.
 */
export class TaskLinks {
  readonly #run: RunCommand;
  readonly #logger: Logger;

  constructor(options: { run: RunCommand; logger: Logger }) {
    this.#run = options.run;
    this.#logger = options.logger;
  }

  /** @throws CommandError when the namespace is gone or the address is not accepted */
  async attach(task: TaskAttachment, mtuBytes: number): Promise<void> {
    // Both become words of a batch of commands.
    if (!TASK_ID.test(task.taskId)) throw new RangeError(`mesh: "${task.taskId}" is no task id`);
    if (/\s/.test(task.netns)) {
      throw new RangeError(`mesh: the namespace path "${task.netns}" has a space in it`);
    }
    const link = taskLinkName(task.taskId);
    const mac = taskMacs(task.address);
    const outside = [
      `link add ${link} address ${mac.host} mtu ${mtuBytes} type veth peer name ${TASK_DEVICE} address ${mac.task} mtu ${mtuBytes} netns ${task.netns}`,
      `link set ${link} addrgenmode none alias ${task.taskId} up`,
      `neigh replace ${task.address} lladdr ${mac.task} dev ${link} nud permanent`,
      `route replace ${task.address}/32 dev ${link}`,
    ];
    const inside = [
      'link set lo up',
      `addr add ${task.address}/32 dev ${TASK_DEVICE}`,
      `link set ${TASK_DEVICE} up`,
      `neigh replace ${TASK_GATEWAY} lladdr ${mac.host} dev ${TASK_DEVICE} nud permanent`,
      `route replace ${TASK_GATEWAY} dev ${TASK_DEVICE} scope link src ${task.address}`,
      `route replace default via ${TASK_GATEWAY} dev ${TASK_DEVICE} src ${task.address}`,
    ];
    try {
      await this.#batch(outside);
    } catch (error) {
      if (!(error instanceof CommandError) || !/File exists/.test(error.stderr)) throw error;
      await this.detach(task.taskId);
      await this.#batch(outside);
    }
    try {
      await Promise.all([
        this.#run('nsenter', [`--net=${task.netns}`, 'ip', '-batch', '-'], lines(inside)),
        tuneTaskLink(link, this.#logger),
      ]);
    } catch (error) {
      await this.detach(task.taskId);
      throw error;
    }
  }

  /** The task's end and the routes go with the host's end; a link that is gone is no error. */
  async detach(taskId: string): Promise<void> {
    await this.remove([taskLinkName(taskId)]);
  }

  async remove(links: readonly string[]): Promise<void> {
    if (links.length === 0) return;
    const batch = lines(links.map((link) => `link del ${link}`));
    try {
      await this.#run('ip', ['-force', '-batch', '-'], batch);
    } catch (error) {
      if (!(error instanceof CommandError) || !/Cannot find device/.test(error.stderr)) throw error;
    }
  }

  /** All task links of this host. */
  async list(): Promise<TaskLink[]> {
    const [links, routes] = await Promise.all([
      this.#run('ip', ['-j', 'link', 'show', 'type', 'veth']),
      this.#run('ip', ['-j', 'route', 'show', 'table', 'main']),
    ]);
    const addresses = new Map(
      (JSON.parse(routes || '[]') as { dst: string; dev?: string }[]).map((route) => [
        route.dev,
        route.dst,
      ]),
    );
    return (JSON.parse(links || '[]') as LinkListing[])
      .filter((link) => link.ifname?.startsWith(TASK_LINK_PREFIX))
      .map((link) => ({
        link: link.ifname,
        taskId: link.ifalias ?? '',
        address: addresses.get(link.ifname) ?? '',
      }));
  }

  #batch(commands: readonly string[]): Promise<string> {
    return this.#run('ip', ['-batch', '-'], lines(commands));
  }
}

function lines(commands: readonly string[]): string {
  return commands.join('\n') + '\n';
}
