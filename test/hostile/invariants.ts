import { isDeepStrictEqual } from 'node:util';
import {
  isHostAddress,
  isObjectId,
  isPort,
  isTaskAddress,
  isTaskState,
  isTimestamp,
  isTunnelled,
  type Node,
  NODE_INDEX_FIRST,
  NODE_INDEX_LAST,
  parseCidr,
  parseIpAddress,
  publishedKey,
  Subnet,
  type Task,
} from '@swarm/api';
import type { State } from './state.js';

/** A property that holds for every store at every index. */
export interface Invariant {
  readonly name: string;
  /** @returns violations */
  check(state: State): string[];
}

const ENDED = new Set(['complete', 'shutdown', 'failed', 'rejected', 'remove', 'orphaned']);
/** The desired states that managers set. */
const DESIRED = new Set(['ready', 'running', 'complete', 'shutdown', 'remove']);

/** 64 KiB and 8 KiB as MessagePack; JSON writes control characters in six bytes. */
const DESCRIPTION_LIMIT_BYTES = 6 * 64 * 1024;
const STATUS_LIMIT_BYTES = 6 * 8 * 1024;

/** The invariants of the store. */
export const INVARIANTS: readonly Invariant[] = [
  {
    name: 'there is one cluster object',
    check: (state) =>
      state.of('cluster').length === 1 ? [] : [`there are ${state.of('cluster').length}`],
  },
  {
    name: 'every object has an id, versions that were written, and times',
    check: (state) =>
      state.objects.flatMap(({ kind, object: { ID, Version, CreatedAt, UpdatedAt } }) => {
        const wrong = [
          isObjectId(ID) ? '' : 'its id is invalid',
          Number.isSafeInteger(Version?.Index) && Version.Index > 0 && Version.Index <= state.index
            ? ''
            : `its version is ${Version?.Index}`,
          isTimestamp(CreatedAt) && isTimestamp(UpdatedAt) ? '' : 'its times are invalid',
          CreatedAt <= UpdatedAt ? '' : 'it was updated before it was created',
        ].filter((each) => each !== '');
        return wrong.map((each) => `${kind} ${ID}: ${each}`);
      }),
  },
  {
    name: 'every object is the same after JSON',
    check: (state) =>
      state.objects.flatMap(({ kind, object }) => {
        try {
          return isDeepStrictEqual(JSON.parse(JSON.stringify(object)), object)
            ? []
            : [`${kind} ${object.ID} changes`];
        } catch (error) {
          return [`${kind} ${object.ID} cannot be encoded: ${(error as Error).message}`];
        }
      }),
  },
  {
    name: 'names are unique',
    check: (state) =>
      (['service', 'network', 'secret', 'config'] as const).flatMap((kind) =>
        twice(state.of(kind).map(({ Spec }) => Spec.Name.toLowerCase())).map(
          (name) => `${kind} ${name}`,
        ),
      ),
  },
  {
    name: 'revisions are of services that exist, and a service has the one that it is at',
    check: (state) => {
      const services = new Set(state.of('service').map(({ ID }) => ID));
      const numbers = new Set(
        state.of('revision').map(({ ServiceID, Number: number }) => `${ServiceID} ${number}`),
      );
      return [
        ...state
          .of('revision')
          .filter(({ ServiceID }) => !services.has(ServiceID))
          .map(({ ID, ServiceID }) => `revision ${ID} is of service ${ServiceID}`),
        ...state
          .of('service')
          .filter(
            ({ ID, Revisions: at }) => at !== undefined && !numbers.has(`${ID} ${at.Current}`),
          )
          .map(({ ID, Revisions: at }) => `service ${ID} is at revision ${at?.Current}`),
      ];
    },
  },
  {
    name: 'tasks refer to services and nodes that exist, or have ended',
    check: (state) => {
      const services = new Set(state.of('service').map(({ ID }) => ID));
      const nodes = new Map(state.of('node').map((node) => [node.ID, node]));
      return state.of('task').flatMap((task) => {
        if (ENDED.has(task.Status.State)) return [];
        const found: string[] = [];
        const { ID, ServiceID, NodeID, DesiredState } = task;
        // A removed service does not wait for nodes that are down; they stop its tasks when they are back.
        const isLeft =
          DesiredState === 'remove' &&
          NodeID !== undefined &&
          nodes.get(NodeID)?.Status.State === 'down';
        if (!services.has(ServiceID) && !isLeft)
          found.push(`task ${ID} is of service ${ServiceID}`);
        if (NodeID !== undefined && !nodes.has(NodeID))
          found.push(`task ${ID} is on node ${NodeID}`);
        return found;
      });
    },
  },
  {
    name: 'states of tasks are states, and wishes are managers’',
    check: (state) =>
      state.of('task').flatMap(({ ID, Status, DesiredState }) => {
        const found = isTaskState(Status.State)
          ? []
          : [`task ${ID} is ${JSON.stringify(Status.State)}`];
        return DESIRED.has(DesiredState)
          ? found
          : [...found, `task ${ID} should be ${JSON.stringify(DesiredState)}`];
      }),
  },
  {
    name: 'a task that runs has a node',
    check: (state) =>
      state
        .of('task')
        .filter(({ Status, NodeID }) => Status.State === 'running' && NodeID === undefined)
        .map(({ ID }) => `task ${ID}`),
  },
  {
    name: 'a port is published once',
    check: (state) =>
      twice(
        state
          .of('service')
          .flatMap(({ Endpoint }) => Endpoint.Ports ?? [])
          .filter(({ PublishMode }) => PublishMode === 'ingress')
          .map(publishedKey),
      ),
  },
  {
    name: 'ports are ports',
    check: (state) => [
      ...state
        .of('service')
        .flatMap(({ ID, Endpoint }) => badPorts(`service ${ID}`, Endpoint.Ports)),
      ...state
        .of('task')
        .flatMap(({ ID, Endpoint, Status }) => [
          ...badPorts(`task ${ID}`, Endpoint.Ports),
          ...badPorts(`status of task ${ID}`, Status.PortStatus?.Ports),
        ]),
    ],
  },
  {
    name: 'nodes have a place in the mesh of their own',
    check: (state) => {
      const meshes = state
        .of('node')
        .flatMap(({ ID, Mesh }) => (Mesh === undefined ? [] : [{ ID, ...Mesh }]));
      return [
        ...meshes
          .filter(({ Index }) => !(Index >= NODE_INDEX_FIRST && Index <= NODE_INDEX_LAST))
          .map(({ ID, Index }) => `node ${ID} has index ${Index}`),
        ...twice(meshes.map(({ Index }) => String(Index))).map(
          (index) => `two nodes have index ${index}`,
        ),
        ...twice(meshes.map(({ Subnet }) => Subnet)).map((subnet) => `two nodes have ${subnet}`),
        ...twice(state.of('node').flatMap(tunnelOf)).map(
          (address) => `two nodes are at ${address}`,
        ),
      ];
    },
  },
  {
    name: 'nodes are at addresses of hosts',
    check: (state) =>
      state
        .of('node')
        .flatMap(({ ID, Mesh, Status }) => [
          ...badAddress(`the tunnel of node ${ID}`, Mesh?.Address),
          ...badAddress(`node ${ID}`, Status.Addr),
        ]),
  },
  {
    name: 'addresses of tasks are unique, and of their node’s block',
    check: (state) => {
      const living = state.of('task').filter(({ Status }) => !ENDED.has(Status.State));
      const all = living.flatMap((task) => addressesOf(task));
      return [
        ...twice(all).map((address) => `two tasks have ${address}`),
        ...living.flatMap((task) => outside(state, task)),
      ];
    },
  },
  {
    name: 'what runs in a slot is one task',
    check: (state) => {
      const running = state
        .of('task')
        .filter(
          ({ DesiredState, Status, Slot }) =>
            DesiredState === 'running' && Status.State === 'running' && Slot > 0,
        );
      return twice(running.map(({ ServiceID, Slot }) => `${ServiceID}/${Slot}`));
    },
  },
  {
    name: 'members of the Raft group are managers, each once',
    check: (state) => {
      const members = state.of('node').filter(({ RaftID }) => RaftID !== undefined);
      return [
        ...members
          .filter(({ Spec }) => Spec.Role !== 'manager')
          .map(({ ID }) => `node ${ID} is a worker`),
        ...twice(members.map(({ RaftID }) => String(RaftID))).map(
          (id) => `two nodes are member ${id}`,
        ),
      ];
    },
  },
  {
    name: 'removed nodes are gone',
    check: (state) => {
      const removed = new Set([
        ...Object.keys(state.of('cluster')[0]?.Private.RemovedNodes ?? {}),
        ...state.of('removed-node').map(({ ID }) => ID),
      ]);
      return state
        .of('node')
        .filter(({ ID }) => removed.has(ID))
        .map(({ ID }) => `node ${ID}`);
    },
  },
  {
    name: 'texts of nodes are of bounded size',
    check: (state) =>
      state.of('node').flatMap(({ ID, Description }) => {
        const bytes = Buffer.byteLength(JSON.stringify(Description ?? {}));
        return bytes <= DESCRIPTION_LIMIT_BYTES
          ? []
          : [`the description of node ${ID} has ${bytes} bytes`];
      }),
  },
  {
    name: 'statuses are of bounded size',
    check: (state) =>
      state.of('task').flatMap(({ ID, Status }) => {
        const bytes = Buffer.byteLength(JSON.stringify(Status));
        return bytes <= STATUS_LIMIT_BYTES ? [] : [`the status of task ${ID} has ${bytes} bytes`];
      }),
  },
];

/** @returns violations, with the names of the invariants */
export function brokenInvariants(state: State): string[] {
  return INVARIANTS.flatMap(({ name, check }) => {
    try {
      return check(state).map((what) => `not so: ${name}: ${what}`);
    } catch (error) {
      return [`not so: ${name}: it cannot even be checked: ${(error as Error).stack}`];
    }
  });
}

function twice(values: readonly string[]): string[] {
  const seen = new Set<string>();
  return values.filter((value) => {
    if (seen.has(value)) return true;
    seen.add(value);
    return false;
  });
}

/** Where tunnel packets to a living node go. Nodes with the userspace backend share a host in these tests. */
function tunnelOf({ Mesh, Status, Description }: Node): string[] {
  if (Mesh === undefined || Mesh.Address === '' || Status.State !== 'ready') return [];
  return isTunnelled(Description) ? [Mesh.Address] : [];
}

function badPorts(of: string, ports: Task['Endpoint']['Ports'] | undefined): string[] {
  if (ports === undefined) return [];
  return ports
    .filter(
      ({ TargetPort, PublishedPort }) =>
        !isPort(TargetPort) || (PublishedPort !== undefined && !isPort(PublishedPort)),
    )
    .map((port) => `${of}: ${JSON.stringify(port)}`);
}

/** An empty address is fine: the node's own belongs to another node, or is not a host's. */
function badAddress(of: string, text: string | undefined): string[] {
  if (text === undefined || text === '') return [];
  const address = parseIpAddress(text);
  return address !== undefined && isHostAddress(address)
    ? []
    : [`${of} is at ${JSON.stringify(text)}`];
}

function addressesOf({ NetworksAttachments = [] }: Task): string[] {
  return NetworksAttachments.flatMap(({ Addresses }) => Addresses);
}

function outside(state: State, task: Task): string[] {
  const node = task.NodeID === undefined ? undefined : state.get('node', task.NodeID);
  if (node?.Mesh === undefined) return [];
  const block = Subnet.of(node.Mesh.Subnet);
  return addressesOf(task)
    .filter((text) => {
      const address = parseCidr(text)?.address ?? parseIpAddress(text);
      return address === undefined || !isTaskAddress(block, address);
    })
    .map((address) => `task ${task.ID} has ${address}, its node ${block}`);
}
