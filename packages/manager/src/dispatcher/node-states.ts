import { isDeepStrictEqual } from 'node:util';
import { type AgentHello, compareStates, type Node, type NodeStatus, type Task } from '@swarm/api';
import type { StoreEvent } from '../store/store.js';

/** Message of a node that was silent for too long, as in Docker. */
export const HEARTBEAT_FAILURE = 'heartbeat failure';

/** A node whose agent is there: what it says of itself, and where it is. */
export function observedReady(node: Node, hello: AgentHello, remoteAddress: string): Node {
  const { description, dataPathAddr } = hello;
  const ready: Node = {
    ...node,
    Status: { State: 'ready', Addr: nodeAddress(remoteAddress, dataPathAddr) },
    Description: isDeepStrictEqual(node.Description, description) ? node.Description! : description,
  };
  // The allocator gives the node its place; where its tunnel ends only the node knows.
  if (node.Mesh === undefined || dataPathAddr === '') return ready;
  return { ...ready, Mesh: { ...node.Mesh, Address: dataPathAddr } };
}

/** A node whose agent is not there. */
export function observedAway(node: Node, state: 'down' | 'disconnected'): Node {
  const Message = state === 'down' ? HEARTBEAT_FAILURE : 'the agent said goodbye';
  const Status: NodeStatus = { State: state, Message, Addr: node.Status.Addr };
  return { ...node, Status };
}

/** Whether the agent must hear of what changed in its node object. It knows its own state. */
export function concernsNode(before: Node, after: Node): boolean {
  return (
    before.Role !== after.Role ||
    before.RaftID !== after.RaftID ||
    before.ManagerAddr !== after.ManagerAddr ||
    !isDeepStrictEqual(before.Spec, after.Spec) ||
    !isDeepStrictEqual(before.Mesh, after.Mesh)
  );
}

/** Whether this event is the wish to stop a task that was wanted until then. */
export function stopsTask(event: StoreEvent & { kind: 'task' }): boolean {
  if (event.action === 'create') return false;
  const before: Task = event.action === 'update' ? event.previous : event.object;
  if (compareStates(before.DesiredState, 'running') > 0) return false;
  return event.action === 'remove' || compareStates(event.object.DesiredState, 'running') > 0;
}

/** The leader's own agent comes over loopback, where nobody else reaches it. */
function nodeAddress(remoteAddress: string, dataPathAddr: string): string {
  const address = remoteAddress.replace(/^::ffff:(?=\d+\.)/, '');
  const isLoopback = address === '::1' || address.startsWith('127.');
  return isLoopback && dataPathAddr !== '' ? dataPathAddr : address;
}
