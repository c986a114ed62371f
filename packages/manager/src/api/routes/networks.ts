import { ApiError, networkFilters, predefinedNetwork } from '@swarm/api';
import { parseJson, sendJson } from '@swarm/http';
import { freshState } from '../gate.js';
import { find } from '../lookup.js';
import type { ManagerAccess } from '../manager-access.js';
import { presentEach } from '../present/each.js';
import { presentNetwork, presentPredefined } from '../present/network.js';
import type { Call, Route } from '../router.js';

async function list(call: Call, manager: ManagerAccess): Promise<void> {
  const { engine } = call.services;
  const filters = call.target.query.get('filters');
  const matches = networkFilters(filters);
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
async function ofSwarm(call: Call, manager: ManagerAccess): Promise<object | undefined> {
  if ((call.target.query.get('scope') ?? 'swarm') !== 'swarm') return undefined;
  await freshState(call.services, manager);
  try {
    return presentNetwork(find(manager.store, 'network', call.params.id!));
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
  sendJson(call.response, network);
}

async function remove(call: Call, manager: ManagerAccess): Promise<void> {
  if (predefinedNetwork(call.params.id!) !== undefined && !hasEngine(call)) {
    throw new ApiError(
      'PERMISSION_DENIED',
      `${call.params.id} is a pre-defined network and cannot be removed`,
    );
  }
  if ((await ofSwarm(call, manager)) === undefined) return elsewhere(call);
  throw new ApiError(
    'UNIMPLEMENTED',
    `network ${call.params.id} belongs to the cluster and cannot be removed`,
  );
}

/** Passes local networks to the engine. The cluster has only its ingress network so far. */
async function create(call: Call): Promise<void> {
  const body = await call.services.bodies.read(call.request);
  const wanted = parseJson(body) as { Driver?: unknown; Scope?: unknown; Ingress?: unknown } | null;
  const isSwarm =
    wanted?.Driver === 'overlay' || wanted?.Scope === 'swarm' || wanted?.Ingress === true;
  if (!isSwarm && call.services.engine !== undefined && call.caller.principal.kind === 'local') {
    return elsewhere(call, body);
  }
  throw new ApiError(
    'UNIMPLEMENTED',
    'networks cannot be created yet; publish ports, so that services reach each other through the ' +
      'ingress network',
  );
}

export const networkRoutes: readonly Route[] = [
  { method: 'GET', pattern: '/networks', on: 'node', handle: list },
  { method: 'POST', pattern: '/networks/create', on: 'node', handle: create },
  { method: 'GET', pattern: '/networks/{id}', on: 'node', handle: inspect },
  { method: 'DELETE', pattern: '/networks/{id}', on: 'node', handle: remove },
];
