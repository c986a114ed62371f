import type { Logger } from '@swarm/api';
import { CommandError, type RunCommand } from '../kernel/command.js';
import { type Line, line, words } from '../kernel/words.js';
import {
  isTaskLinkName,
  type LinkName,
  parseTaskId,
  TASK_DEVICE,
  TASK_GATEWAY,
  type TaskId,
  taskLinkName,
  taskMacs,
} from '../layout.js';
import { type Ipv4Address, parseIpv4 } from '../address.js';
import type { NetnsPath } from '../checked.js';
import { tuneTaskLink } from './sysctls.js';

/** A task's link as the kernel lists it: all that a restarted daemon must know again. */
export interface TaskLink {
  readonly link: LinkName;
  /** Undefined when the link has none as its alias: someone else made it, or changed it. */
  readonly taskId: TaskId | undefined;
  /** Undefined when no route leads to it. */
  readonly address: Ipv4Address | undefined;
}

/** What a link is made for. */
export interface LinkedTask {
  readonly taskId: TaskId;
  readonly address: Ipv4Address;
  readonly netns: NetnsPath;
}

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
  async attach(task: LinkedTask, mtuBytes: number): Promise<void> {
    const link = taskLinkName(task.taskId);
    const mac = taskMacs(task.address);
    const outside = [
      line`link add ${link} address ${mac.host} mtu ${mtuBytes} type veth peer name ${TASK_DEVICE} address ${mac.task} mtu ${mtuBytes} netns ${task.netns}`,
      line`link set ${link} addrgenmode none alias ${task.taskId} up`,
      line`neigh replace ${task.address} lladdr ${mac.task} dev ${link} nud permanent`,
      line`route replace ${task.address}/32 dev ${link}`,
    ];
    const inside = [
      line`link set lo up`,
      line`addr add ${task.address}/32 dev ${TASK_DEVICE}`,
      line`link set ${TASK_DEVICE} up`,
      line`neigh replace ${TASK_GATEWAY} lladdr ${mac.host} dev ${TASK_DEVICE} nud permanent`,
      line`route replace ${TASK_GATEWAY} dev ${TASK_DEVICE} scope link src ${task.address}`,
      line`route replace default via ${TASK_GATEWAY} dev ${TASK_DEVICE} src ${task.address}`,
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
        this.#run('nsenter', words`--net=${task.netns} ip -batch -`, lines(inside)),
        tuneTaskLink(link, this.#logger),
      ]);
    } catch (error) {
      await this.detach(task.taskId);
      throw error;
    }
  }

  /** The task's end and the routes go with the host's end; a link that is gone is no error. */
  async detach(taskId: TaskId): Promise<void> {
    await this.remove([taskLinkName(taskId)]);
  }

  async remove(links: readonly LinkName[]): Promise<void> {
    if (links.length === 0) return;
    const batch = lines(links.map((link) => line`link del ${link}`));
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
    const addresses = new Map<string | undefined, string>(
      (JSON.parse(routes || '[]') as { dst: string; dev?: string }[]).map((route) => [
        route.dev,
        route.dst,
      ]),
    );
    const found: TaskLink[] = [];
    for (const { ifname, ifalias } of JSON.parse(links || '[]') as LinkListing[]) {
      if (!isTaskLinkName(ifname)) continue;
      const address = parseIpv4(addresses.get(ifname));
      found.push({ link: ifname, taskId: parseTaskId(ifalias), address });
    }
    return found;
  }

  #batch(commands: readonly Line[]): Promise<string> {
    return this.#run('ip', ['-batch', '-'], lines(commands));
  }
}

function lines(commands: readonly Line[]): string {
  return commands.join('\n') + '\n';
}
