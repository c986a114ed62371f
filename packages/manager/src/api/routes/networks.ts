import {
  ApiError,
  type Creation,
  decodeConnection,
  decodeNetwork,
  INGRESS_SUBNET,
  isClusterNetwork,
  networkFilters,
  type NetworkSpec,
  newId,
  predefinedNetwork,
} from '@swarm/api';
import { flagOf, parseJson, sendEmpty, sendJson } from '@swarm/http';
import { levelOf, NETWORKS_LEVEL, tooNew } from '../../store/feature-levels.js';
import type { Transaction } from '../../store/store.js';
import { creationOf, madeBefore } from '../creation.js';
import { freshState, writeAgain } from '../gate.js';
import { find } from '../lookup.js';
import type { ManagerAccess } from '../manager-access.js';
import { isOnlyLeaving, isUnused, refuseUsed } from '../network-use.js';
import { prunedBy, pruneFilter, readNames, writeNames } from '../network-prune.js';
import { presentEach } from '../present/each.js';
import { presentNetwork, presentPredefined } from '../present/network.js';
import { presentNetworkUse } from '../present/network-use.js';
import type { Call, Route } from '../router.js';
import { whileLeaving } from '../while-leaving.js';

async function list(call: Call, manager: ManagerAccess): Promise<void> {
  const { engine } = call.services;
  const filters = call.target.query.get('filters');
  const matches = networkFilters(filters, ({ ID }) => isUnused(manager.store, ID));
  await freshState(call.services, manager);
  const networks = manager.store.list('network');
  const { aside } = call.services;
  const swarm = presentEach(aside, 'network', networks, matches, presentNetwork);
  const query = filters === null ? '' : `?filters=${encodeURIComponent(filters)}`;
  const local =
    call.caller.principal.kind === 'local' ? await engine?.ask(`/networks${query}`) : undefined;
  sendJson(call.response, [...swarm, ...(Array.isArray(local) ? local : [])]);
}

/** Whether the engine of this node answers for its own networks. */
function hasEngine({ services, caller }: Call): boolean {
  return services.engine !== undefined && caller.principal.kind === 'local';
}

/** The cluster's network; undefined when the request is for the engine. */
async function ofSwarm(
  call: Call,
  manager: ManagerAccess,
): Promise<{ readonly Id: string } | undefined> {
  if ((call.target.query.get('scope') ?? 'swarm') !== 'swarm') return undefined;
  await freshState(call.services, manager);
  try {
    const network = find(manager.store, 'network', call.params.id!);
    const verbose = flagOf(call.target.query, 'verbose');
    return {
      ...presentNetwork(network),
      ...(verbose && presentNetworkUse(manager.store, network)),
    };
  } catch (error) {
    if (error instanceof ApiError && error.code === 'NOT_FOUND') return undefined;
    throw error;
  }
}

async function elsewhere(call: Call, body?: Buffer): Promise<void> {
  const { engine } = call.services;
  if (engine === undefined || call.caller.principal.kind !== 'local') {
    throw new ApiError('NOT_FOUND', `network ${call.params.id} not found`);
  }
  await engine.pass(call.request, call.response, call.target, body);
}

async function inspect(call: Call, manager: ManagerAccess): Promise<void> {
  const predefined = predefinedNetwork(call.params.id!);
  // The engine has a network of that name, too; stock clients ask for the cluster's before they use it.
  const isCluster = call.target.query.get('scope') === 'swarm' || !hasEngine(call);
  if (predefined !== undefined && isCluster) {
    sendJson(call.response, presentPredefined(predefined));
    return;
  }
  const network = await ofSwarm(call, manager);
  if (network === undefined) return elsewhere(call);
  // As with Docker, those of this node.
  const Containers = hasEngine(call) ? call.services.engine?.placed()?.on(network.Id) : undefined;
  sendJson(call.response, { ...network, ...(Containers && { Containers }) });
}

/** Leaves networks of the node's engine to it. */
async function removeLocal(call: Call, manager: ManagerAccess): Promise<boolean> {
  if (predefinedNetwork(call.params.id!) !== undefined && !hasEngine(call)) {
    throw new ApiError(
      'PERMISSION_DENIED',
      `${call.params.id} is a pre-defined network and cannot be removed`,
    );
  }
  if (!hasEngine(call) || (await ofSwarm(call, manager)) !== undefined) return false;
  await elsewhere(call);
  return true;
}

async function remove(call: Call, manager: ManagerAccess): Promise<void> {
  const aside = manager.store.setAside('network', call.params.id!);
  const id = aside?.id ?? find(manager.store, 'network', call.params.id!).ID;
  await whileLeaving(call, manager, (view) => isOnlyLeaving(view, id));
  await writeAgain(call.services, manager, (transaction) => {
    // Somebody else removed it meanwhile.
    if (transaction.get('network', id) === undefined && aside === undefined) return;
    removeNetwork(transaction, id);
  });
  sendEmpty(call.response, 204);
}

function removeNetwork(transaction: Transaction, id: string): void {
  const network = transaction.get('network', id);
  refuseUsed(transaction, id, network);
  transaction.remove('network', id);
  if (network?.Spec.Ingress !== true) return;
  const cluster = transaction.cluster();
  if (cluster === undefined) return;
  const [subnet] = network.Subnets;
  transaction.update('cluster', {
    ...cluster,
    // Otherwise the allocator would make it again.
    IngressRemoved: true,
    ...(subnet !== undefined &&
      subnet.Subnet !== INGRESS_SUBNET && { IngressSubnet: subnet.Subnet }),
  });
}

/** Leaves networks of the host to its engine. */
async function createLocal(call: Call): Promise<boolean> {
  const body = await call.services.bodies.read(call.request);
  if (isClusterNetwork(parseJson(body))) return false;
  if (hasEngine(call)) {
    await elsewhere(call, body);
    return true;
  }
  throw new ApiError(
    'UNIMPLEMENTED',
    'this node has no Docker Engine, so it has no networks of its own: create one of the cluster with ' +
      '--driver overlay',
  );
}

async function create(call: Call, manager: ManagerAccess): Promise<void> {
  const { services } = call;
  const body = await services.bodies.read(call.request);
  const spec = decodeNetwork(parseJson(body));
  const creation = creationOf(call.idempotencyKey!, body);
  const Id = await services.creations.run(creation.Key, () =>
    writeNew(call, manager, spec, creation),
  );
  sendJson(call.response, { Id, Warning: '' }, 201);
}

/** Creates the network, unless the same request did before. @returns its id */
function writeNew(
  { services }: Call,
  manager: ManagerAccess,
  spec: NetworkSpec,
  creation: Creation,
): Promise<string> {
  const { networks } = services;
  const ID = newId(services.randomBytes);
  return writeAgain(
    services,
    manager,
    (transaction) => {
      const level = levelOf(transaction.cluster());
      if (level < NETWORKS_LEVEL) throw tooNew('a network', NETWORKS_LEVEL, level);
      const other = transaction.byName('network', spec.Name);
      if (other !== undefined) {
        if (other.Creation?.Key === creation.Key && madeBefore([other], creation)) return other.ID;
        throw new ApiError('CONFLICT', `network with name ${spec.Name} already exists`);
      }
      if (spec.Ingress) claimIngress(transaction);
      const allocation = networks.allocate(transaction, ID, spec);
      transaction.create('network', { ID, Spec: spec, Creation: creation, ...allocation });
      return ID;
    },
    (proposal) => void networks.follow(ID, proposal),
  );
}

/** Of two that are made at once, the second finds the cluster's object changed. */
function claimIngress(transaction: Transaction): void {
  const present = transaction.ingressNetwork();
  if (present !== undefined) {
    throw new ApiError(
      'CONFLICT',
      `ingress network (${present.ID}) is already present: remove ${present.Spec.Name} first`,
    );
  }
  const cluster = transaction.cluster();
  if (cluster === undefined) return;
  const { IngressRemoved: _, IngressSubnet: __, ...rest } = cluster;
  transaction.update('cluster', rest);
}

/** Removes the unused networks of the node's engine. @returns their names, for the answer */
async function pruneLocal(call: Call): Promise<boolean | string> {
  const filters = call.target.query.get('filters');
  pruneFilter(filters, 0);
  if (!hasEngine(call)) return false;
  const query = filters === null ? '' : `?filters=${encodeURIComponent(filters)}`;
  return writeNames(prunedBy(await call.services.engine?.ask(`/networks/prune${query}`, 'POST')));
}

/** Removes every network of the cluster that nothing uses, one by one: one that is in use again stays. */
async function prune(call: Call, manager: ManagerAccess): Promise<void> {
  const { services, target, localPart } = call;
  const matches = pruneFilter(target.query.get('filters'), services.clock.now());
  const deleted: string[] = [];
  for (const { ID, Spec } of [...manager.store.list('network')].filter(matches)) {
    if (Spec.Ingress || !isUnused(manager.store, ID)) continue;
    await writeAgain(services, manager, (transaction) => {
      if (transaction.get('network', ID) === undefined || !isUnused(transaction, ID)) return;
      transaction.remove('network', ID);
    });
    if (manager.store.get('network', ID) === undefined) deleted.push(Spec.Name);
  }
  sendJson(call.response, { NetworksDeleted: [...deleted, ...readNames(localPart)] });
}

/** Leaves networks of the host to its engine. */
async function connectLocal(call: Call, manager: ManagerAccess): Promise<boolean> {
  if (!hasEngine(call) || (await ofSwarm(call, manager)) !== undefined) return false;
  await elsewhere(call, await call.services.bodies.read(call.request));
  return true;
}

function connection(action: 'connect' | 'disconnect'): Route['handle'] {
  return async (call, manager) => {
    const task = decodeConnection(await call.services.bodies.readJson(call.request));
    if (manager.connections === undefined)
      throw new ApiError('UNIMPLEMENTED', 'this manager connects no tasks');
    await manager.connections[action](call.params.id!, task);
    sendEmpty(call.response);
  };
}

export const networkRoutes: readonly Route[] = [
  { method: 'GET', pattern: '/networks', on: 'node', handle: list },
  {
    method: 'POST',
    pattern: '/networks/create',
    on: 'leader',
    repeat: 'key',
    local: createLocal,
    handle: create,
  },
  {
    method: 'POST',
    pattern: '/networks/{id}/connect',
    on: 'leader',
    local: connectLocal,
    handle: connection('connect'),
  },
  {
    method: 'POST',
    pattern: '/networks/{id}/disconnect',
    on: 'leader',
    local: connectLocal,
    handle: connection('disconnect'),
  },
  { method: 'GET', pattern: '/networks/{id}', on: 'node', handle: inspect },
  {
    method: 'DELETE',
    pattern: '/networks/{id}',
    on: 'leader',
    repeat: 'removal',
    local: removeLocal,
    handle: remove,
  },
  {
    method: 'POST',
    pattern: '/networks/prune',
    on: 'leader',
    repeat: 'removal',
    local: pruneLocal,
    handle: prune,
  },
];
