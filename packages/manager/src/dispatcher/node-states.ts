import { isDeepStrictEqual } from 'node:util';
import {
  type AgentHello,
  compareStates,
  type IpAddress,
  isLoopback,
  isTunnelled,
  type Node,
  type NodeStatus,
  parseIpAddress,
  type Task,
} from '@swarm/api';
import { hostAddress } from '../allocator/node-mesh.js';
import type { StoreEvent } from '../store/store.js';
import type { DataPathClaim } from './data-path-claims.js';

/** Message of a node that was silent for too long, as in Docker. */
export const HEARTBEAT_FAILURE = 'heartbeat failure';

/** Status of a node that a manager knows of, and that no agent has spoken for yet. */
export function neverSeen(Addr: NodeStatus['Addr']): NodeStatus {
  return { State: 'unknown', Message: 'its agent has not connected yet', Addr };
}

/** What an agent reports, and where its connection comes from. */
export interface AgentView {
  readonly hello: Pick<AgentHello, 'description' | 'dataPathAddr' | 'instance'>;
  readonly remoteAddress: string;
  /** The protocol of its session. */
  readonly protocol: number;
}

/** The node's claim to a data path address. Ignores an address that cannot be one. */
export function dataPathClaim(node: Node, { hello, remoteAddress }: AgentView): DataPathClaim {
  const from = nodeAddress(node, hello, remoteAddress);
  if (!isTunnelled(hello.description)) return { from, address: undefined };
  if (hello.dataPathAddr === '') return { from, address: from };
  return { from, address: dataPathAddress(hello.dataPathAddr, remoteAddress) };
}

/**
 * A node with a connected agent: ready, with the agent's description and its address.
 * @param holder the node that has the data path address this one wants, see DataPathClaims
 */
export function observedReady(node: Node, agent: AgentView, holder: string | undefined): Node {
  const { description, instance } = agent.hello;
  const { protocol } = agent;
  const { from, address } = dataPathClaim(node, agent);
  const isUserspace = !isTunnelled(description);
  const Message = isUserspace ? undefined : placeProblem(address, holder);
  const ready: Node = {
    ...node,
    Status: {
      State: 'ready',
      ...(Message === undefined ? {} : { Message }),
      Addr: from ?? node.Status.Addr,
      Protocol: protocol,
      ...(instance === undefined ? {} : { Instance: instance }),
    },
    Description: isDeepStrictEqual(node.Description, description) ? node.Description! : description,
  };
  // The allocator gives the node its place; only the node knows where its tunnel ends.
  if (node.Mesh === undefined) return ready;
  const Address = (isUserspace ? from : Message === undefined ? address : undefined) ?? '';
  return { ...ready, Mesh: { ...node.Mesh, Address } };
}

/** Why a node has no place in the mesh, and what to do; undefined when it has one. */
function placeProblem(address: IpAddress | undefined, holder: string | undefined) {
  const again =
    'run `docker swarm leave` on this node and join again with another --data-path-addr';
  if (address === undefined) {
    return `no place in the mesh: other nodes cannot reach its data path address; ${again}`;
  }
  if (holder === undefined) return undefined;
  return `no place in the mesh: its data path address ${address} belongs to node ${holder}; remove that node if it is gone, or ${again}`;
}

/** A node without a connected agent. */
export function observedAway(node: Node, state: 'down' | 'disconnected'): Node {
  const { Addr, Instance } = node.Status;
  const Message = state === 'down' ? HEARTBEAT_FAILURE : 'the agent said goodbye';
  // While it is only disconnected, the same daemon may come back, or its next run.
  const isKept = state === 'disconnected' && Instance !== undefined;
  const Status: NodeStatus = { State: state, Message, Addr, ...(isKept && { Instance }) };
  return { ...node, Status };
}

/** A node that has not come back to this leader yet, and whose data path address another node has now. */
export function displaced(node: Node): Node {
  return node.Mesh === undefined ? node : { ...node, Mesh: { ...node.Mesh, Address: '' } };
}

/** Whether a connection comes from another address than the node's. False where one of the two is unknown. */
export function isElsewhere(nodeAddr: string, remoteAddress: string): boolean {
  const known = hostAddress(nodeAddr);
  const from = hostAddress(remoteAddress);
  // The leader's own agent connects over loopback, wherever the node is.
  if (known === undefined || from === undefined || isLoopback(from)) return false;
  return known !== from;
}

/** Whether the agent must get the change of its node object. It knows its own state. */
export function concernsNode(before: Node, after: Node): boolean {
  return (
    before.Role !== after.Role ||
    before.RaftID !== after.RaftID ||
    before.ManagerAddr !== after.ManagerAddr ||
    !isDeepStrictEqual(before.Spec, after.Spec) ||
    !isDeepStrictEqual(before.Mesh, after.Mesh)
  );
}

/** Whether the event changes the managers that agents find. Called for each event of any node. */
export function concernsManagers(event: StoreEvent & { kind: 'node' }): boolean {
  const managerAddress = ({ Role, ManagerAddr }: Node) =>
    Role === 'manager' ? ManagerAddr : undefined;
  const address = managerAddress(event.object);
  return event.action === 'update'
    ? address !== managerAddress(event.previous)
    : address !== undefined;
}

/** Whether the event asks to stop a task that should have run until then. */
export function stopsTask(event: StoreEvent & { kind: 'task' }): boolean {
  if (event.action === 'create') return false;
  const before: Task = event.action === 'update' ? event.previous : event.object;
  if (compareStates(before.DesiredState, 'running') > 0) return false;
  return event.action === 'remove' || compareStates(event.object.DesiredState, 'running') > 0;
}

/**
 * Parses a data path address; undefined when other nodes cannot reach it. Loopback counts only over a
 * loopback connection.
 */
function dataPathAddress(text: string, remoteAddress: string): IpAddress | undefined {
  const address = hostAddress(text);
  if (address === undefined || !isLoopback(address)) return address;
  const from = parseIpAddress(remoteAddress);
  return from !== undefined && isLoopback(from) ? address : undefined;
}

/**
 * The node's address: where its connection comes from. Over loopback, where only this host reaches the leader,
 * takes the agent's word: any address from a manager, only a loopback address from a worker.
 */
function nodeAddress(
  node: Node,
  { dataPathAddr }: AgentView['hello'],
  remoteAddress: string,
): IpAddress | undefined {
  const from = hostAddress(remoteAddress);
  if (from === undefined || !isLoopback(from)) return from;
  const said = hostAddress(dataPathAddr);
  if (said === undefined) return from;
  return node.Role === 'manager' || isLoopback(said) ? said : from;
}
