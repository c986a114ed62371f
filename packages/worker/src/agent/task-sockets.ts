import {
  backoffMs,
  type Clock,
  pause,
  type PortConfig,
  type Task,
  type TaskStatus,
} from '@swarm/api';
import type { TaskSockets } from '@swarm/routing-mesh';
import { isOnOverlay, portName, taskAddresses } from '../runtime/task-ports.js';
import { SOCKETS_POLL_MS } from './limits.js';
import type { TaskMesh } from './task-mesh.js';

/** TCP ports that the task should listen on, as assigned. */
function listenPorts(task: Task, status: TaskStatus): readonly PortConfig[] {
  // A task without a network of its own listens where its runtime told it to.
  const told = status.Address === undefined ? undefined : status.PortStatus?.Ports;
  const ports = told ?? task.Endpoint.Ports;
  return ports.filter((port) => port.Protocol === 'tcp');
}

/**
 * What the mesh needs to count a task's connections; undefined when nobody reaches it by a name or port of its
 * service.
 */
export function clientSocketsOf(
  task: Task,
  status: TaskStatus,
  pid: number | undefined,
): TaskSockets | undefined {
  const isOpen = status.Address === undefined && isOnOverlay(task);
  if (!isOpen) return socketsOf(task, status, pid);
  if (pid === undefined) return undefined;
  const published = socketsOf(task, status, pid)?.ports ?? [];
  return { taskId: task.ID, pid, addresses: taskAddresses(task), ports: published, isOpen };
}

/** What the mesh needs to look at a task's sockets; undefined when the task publishes no TCP port. */
export function socketsOf(
  task: Task,
  status: TaskStatus,
  pid: number | undefined,
): TaskSockets | undefined {
  const addresses = status.Address === undefined ? taskAddresses(task) : [status.Address];
  const ports = listenPorts(task, status);
  if (pid === undefined || addresses.length === 0 || ports.length === 0) return undefined;
  return {
    taskId: task.ID,
    pid,
    addresses,
    ports: ports.map((port) => ({ protocol: port.Protocol, port: port.TargetPort })),
  };
}

/**
 * What the mesh needs to look for sockets of IPv6; undefined when the task publishes neither TCP nor UDP, or has no
 * address of its own.
 */
export function ipv6SocketsOf(
  task: Task,
  { Address }: TaskStatus,
  pid: number | undefined,
): TaskSockets | undefined {
  const addresses = taskAddresses(task);
  const ports = task.Endpoint.Ports.filter(({ Protocol }) => Protocol !== 'sctp');
  if (pid === undefined || Address !== undefined) return undefined;
  if (addresses.length === 0 || ports.length === 0) return undefined;
  return {
    taskId: task.ID,
    pid,
    addresses,
    ports: ports.map((port) => ({ protocol: port.Protocol, port: port.TargetPort })),
  };
}

/** "running, but not listening on port 80/tcp yet: it gets no traffic". */
export function notListening(task: Task, status: TaskStatus): string {
  const names = listenPorts(task, status).map(portName);
  const ports = `${names.length === 1 ? 'port' : 'ports'} ${names.join(', ')}`;
  return `running, but not listening on ${ports} yet: it gets no traffic`;
}

/**
 * Waits until the task listens on all its ports.
 * @param go asked before each look; false ends the wait
 * @returns whether it listens
 */
export async function untilListening(
  mesh: TaskMesh,
  sockets: TaskSockets,
  clock: Clock,
  go: () => boolean,
): Promise<boolean> {
  for (let looks = 1; go(); looks += 1) {
    if (await mesh.listens(sockets)) return true;
    await pause(clock, backoffMs(looks, SOCKETS_POLL_MS));
  }
  return false;
}

/**
 * Waits until the task has no connections left, at most `limitMs`.
 * @param waiting called with the number left whenever it changes
 */
export async function untilDrained(
  mesh: TaskMesh,
  sockets: TaskSockets,
  clock: Clock,
  limitMs: number,
  go: () => boolean,
  waiting: (connections: number) => void,
): Promise<void> {
  const deadlineMs = clock.monotonicMs() + limitMs;
  let told = 0;
  for (let looks = 1; go(); looks += 1) {
    const connections = await mesh.connections(sockets);
    const leftMs = deadlineMs - clock.monotonicMs();
    if (connections === 0 || leftMs <= 0) return;
    if (connections !== told) waiting(connections);
    told = connections;
    await pause(clock, Math.min(backoffMs(looks, SOCKETS_POLL_MS), leftMs));
  }
}
