import { isDeepStrictEqual } from 'node:util';
import {
  ApiError,
  checkHostPrivileges,
  checkServiceSpec,
  type ContainerSpec,
  type Creation,
  decodeServiceSpec,
  isHostImage,
  newId,
  parseObjectVersion,
  privilegeNeeds,
  randomName,
  type Service,
  type ServiceSpec,
  serviceFilters,
  storedServiceSpec,
  withKeptOptions,
} from '@swarm/api';
import { flagOf, parseJson, sendEmpty, sendJson } from '@swarm/http';
import { removalWait, removeUnreadable } from '../../orchestrator/service-removal.js';
import {
  planServiceUpdate,
  type ServiceUpdate,
  writeServiceUpdate,
} from '../../orchestrator/service-update.js';
import type { View } from '../../store/store.js';
import { requireVersion, write, writeAgain } from '../gate.js';
import { creationOf, keyedBytes, madeBefore } from '../creation.js';
import { find } from '../lookup.js';
import type { ManagerAccess } from '../manager-access.js';
import { presentEach } from '../present/each.js';
import { presentService, previousSpec } from '../present/service.js';
import type { Call, Route } from '../router.js';
import {
  checkConstraints,
  clusterPortRefusal,
  conflictWith,
  publishHolder,
  refuseUnenforced,
  writtenEndpoint,
} from '../rules.js';
import { withNetworkIds, refuseMissingNetworks } from '../service-networks.js';
import { whileLeaving } from '../while-leaving.js';

/** Random names that are tried before one is taken that is not free. */
const NAME_ATTEMPTS = 16;
/** Longest credentials, characters. They take a few hundred, and each task stores them. */
const REGISTRY_AUTH_LIMIT = 16 * 1024;

function list(call: Call, manager: ManagerAccess): void {
  const { query } = call.target;
  const matches = serviceFilters(query.get('filters'));
  // `status` came with 1.41.
  const status = call.target.minor >= 41 && flagOf(query, 'status');
  const services = presentEach(
    call.services.aside,
    'service',
    manager.store.list('service'),
    (service) => service.PendingDelete !== true && matches(service),
    (service) => presentService(manager.store, service, { status }),
  );
  sendJson(call.response, services);
}

function inspect(call: Call, manager: ManagerAccess): void {
  const service = find(manager.store, 'service', call.params.id!);
  const insertDefaults = flagOf(call.target.query, 'insertDefaults');
  sendJson(call.response, presentService(manager.store, service, { insertDefaults }));
}

/** The credentials sent with the request; undefined when none were. */
function registryAuth(call: Call): string | undefined {
  const given = call.request.headers['x-registry-auth'];
  if (typeof given !== 'string' || given === '') return undefined;
  if (given.length <= REGISTRY_AUTH_LIMIT && /^[A-Za-z0-9+/_=-]+$/.test(given)) return given;
  throw new ApiError(
    'BAD_REQUEST',
    `X-Registry-Auth must be base64 of at most ${REGISTRY_AUTH_LIMIT / 1024} KiB`,
  );
}

function withAuth(spec: ServiceSpec, auth: string | undefined): ServiceSpec {
  if (auth === undefined) return spec;
  return { ...spec, TaskTemplate: { ...spec.TaskTemplate, RegistryAuth: auth } };
}

async function create(call: Call, manager: ManagerAccess): Promise<void> {
  const { services, request } = call;
  const auth = registryAuth(call);
  const body = await services.bodies.read(request);
  const input = decodeServiceSpec(parseJson(body));
  const creation = creationOf(call.idempotencyKey!, body);
  const stored = storedServiceSpec(input, freeName(manager.store, creation.Key));
  checkServiceSpec(stored, checkConstraints);
  const spec = withAuth(stored, auth);
  const ID = await services.creations.run(creation.Key, async () => {
    const made = earlier(manager.store, creation);
    if (made !== undefined) return made;
    await whileLeaving(
      call,
      manager,
      (view) =>
        view.byName('service', spec.Name)?.PendingDelete === true ||
        portHolder(call, view, spec, undefined)?.isLeaving === true,
    );
    return writeNew(call, manager, spec, creation);
  });
  sendJson(call.response, { ID, Warnings: null }, 201);
}

/** Creates the service, unless the same request did meanwhile. @returns its id */
async function writeNew(
  call: Call,
  manager: ManagerAccess,
  spec: ServiceSpec,
  creation: Creation,
): Promise<string> {
  const { services } = call;
  const id = newId(services.randomBytes);
  let release = (): void => {};
  try {
    return await write(services, manager, (transaction) => {
      const made = earlier(transaction, creation);
      if (made !== undefined) return made;
      refuseTakenName(transaction, spec.Name);
      refusePrivileges(transaction, spec, undefined);
      refuseClusterPort(transaction, spec, undefined);
      refuseTakenPort(call, transaction, spec, undefined);
      const Spec = withNetworkIds(transaction, spec);
      transaction.create('service', {
        ID: id,
        Spec,
        SpecVersion: { Index: 0 },
        Creation: creation,
        Endpoint: writtenEndpoint(Spec, undefined),
      });
      release = services.portClaims.take(id, spec);
      return id;
    });
  } catch (error) {
    // An earlier attempt was still on its way through the log when this one was built.
    const made = earlier(manager.store, creation);
    if (made !== undefined && error instanceof ApiError && error.code === 'CONFLICT') return made;
    throw error;
  } finally {
    release();
  }
}

/** The id of the service that the same request made; a service that is being removed counts no more. */
function earlier(view: View, creation: Creation): string | undefined {
  const made = [...view.servicesByCreationKey(creation.Key)];
  return madeBefore(
    made.filter(({ PendingDelete }) => PendingDelete !== true),
    creation,
  )?.ID;
}

/** A name that is free now, and the same for each attempt of the request while it is. */
function freeName(view: View, key: string): string {
  let name = '';
  for (let attempt = 0; attempt < NAME_ATTEMPTS; attempt += 1) {
    name = randomName(keyedBytes(key, attempt));
    if (view.byName('service', name) === undefined) break;
  }
  return name;
}

function refuseTakenName(view: View, name: string): void {
  const other = view.byName('service', name);
  if (other === undefined) return;
  throw new ApiError(
    'CONFLICT',
    `name conflicts with an existing object: service ${name} already exists` +
      (other.PendingDelete === true ? `; ${removalWait(view, other.ID)}` : ''),
  );
}

/**
 * Refuses host privileges that the cluster's policy does not allow. A service that has them already may still
 * be changed in other ways, even after the policy became stricter: nodes refuse its tasks.
 * @throws ApiError as `checkHostPrivileges`
 */
function refusePrivileges(view: View, spec: ServiceSpec, present: ServiceSpec | undefined): void {
  const container = spec.TaskTemplate.ContainerSpec;
  if (container === undefined) return;
  const before = present?.TaskTemplate.ContainerSpec;
  if (before !== undefined && isDeepStrictEqual(privilegesOf(container), privilegesOf(before)))
    return;
  checkHostPrivileges(container, view.cluster()?.Spec.HostPrivileges ?? 'none');
}

/** @throws ApiError INVALID_ARGUMENT when the spec would newly publish a port that the cluster needs itself */
function refuseClusterPort(view: View, spec: ServiceSpec, present: ServiceSpec | undefined): void {
  const refusal = clusterPortRefusal(view, spec.EndpointSpec, present?.EndpointSpec);
  if (refusal !== undefined) throw new ApiError('INVALID_ARGUMENT', refusal);
}

function privilegesOf(container: ContainerSpec): unknown {
  return [isHostImage(container.Image), privilegeNeeds(container)];
}

/**
 * The service that has a port of the spec, in the store or on its way there; one that keeps it comes before
 * one that gives it up.
 */
function portHolder(
  call: Call,
  view: View,
  spec: ServiceSpec,
  ownId: string | undefined,
): ReturnType<typeof publishHolder> {
  const { portClaims } = call.services;
  return (
    publishHolder((key) => portClaims.byPort(key), ownId, spec.EndpointSpec) ??
    publishHolder((key) => view.servicesByPort(key), ownId, spec.EndpointSpec)
  );
}

function refuseTakenPort(
  call: Call,
  view: View,
  spec: ServiceSpec,
  ownId: string | undefined,
): void {
  const holder = portHolder(call, view, spec, ownId);
  if (holder === undefined) return;
  const advice = !holder.isLeaving
    ? 'publish another port, or remove that service'
    : holder.service.PendingDelete === true
      ? removalWait(view, holder.service.ID)
      : 'it is giving the port up, try again in a moment';
  throw new ApiError('CONFLICT', `${conflictWith(holder)}; ${advice}`);
}

async function update(call: Call, manager: ManagerAccess): Promise<void> {
  const { query } = call.target;
  const version = parseObjectVersion(query.get('version'), 'service');
  const rollback = query.get('rollback') ?? '';
  if (rollback !== '' && rollback !== 'none' && rollback !== 'previous') {
    throw new ApiError('BAD_REQUEST', `unrecognized rollback option "${rollback}"; use previous`);
  }
  const authFrom = query.get('registryAuthFrom') ?? '';
  if (authFrom !== '' && authFrom !== 'spec' && authFrom !== 'previous-spec') {
    throw new ApiError(
      'BAD_REQUEST',
      `unsupported registryAuthFrom "${authFrom}"; use spec or previous-spec`,
    );
  }
  const sentAuth = registryAuth(call);
  const input = decodeServiceSpec(await call.services.bodies.readJson(call.request));
  const back = rollback === 'previous';
  await changeService(call, manager, (view) => {
    const service = find(view, 'service', call.params.id!);
    requireVersion(service, version);
    const spec = back ? service.Spec : updatedSpec(view, service, input, sentAuth, authFrom);
    return planServiceUpdate(view, service, spec, {
      nowMs: manager.store.timeMs(),
      ...(back && { rollback: 'previous' as const }),
    });
  });
  sendJson(call.response, { Warnings: null });
}

/** Writes what `plan` makes of a service, once no service that leaves holds a port that it asks for. */
export async function changeService(
  call: Call,
  manager: ManagerAccess,
  plan: (view: View) => ServiceUpdate,
): Promise<void> {
  const { service: wanted } = plan(manager.store);
  await whileLeaving(
    call,
    manager,
    (view) => portHolder(call, view, wanted.Spec, wanted.ID)?.isLeaving === true,
  );
  let release = (): void => {};
  await writeAgain(call.services, manager, (transaction) => {
    release();
    const planned = plan(transaction);
    const { service } = planned;
    const present = find(transaction, 'service', service.ID);
    refusePrivileges(transaction, service.Spec, present.Spec);
    refuseClusterPort(transaction, service.Spec, present.Spec);
    refuseUnenforced(transaction, service.Spec, present.Spec);
    refuseTakenPort(call, transaction, service.Spec, service.ID);
    refuseMissingNetworks(transaction, service.Spec);
    const Endpoint = writtenEndpoint(service.Spec, service.Endpoint);
    writeServiceUpdate(transaction, { ...planned, service: { ...service, Endpoint } });
    release = call.services.portClaims.take(service.ID, service.Spec);
  }).finally(() => release());
}

function updatedSpec(
  view: View,
  service: Service,
  input: ReturnType<typeof decodeServiceSpec>,
  sentAuth: string | undefined,
  authFrom: string,
): ServiceSpec {
  const { EndpointSpec: endpoint = {} } = input;
  const EndpointSpec = withKeptOptions(endpoint, service.Spec.EndpointSpec);
  const given = storedServiceSpec({ ...input, EndpointSpec }, service.Spec.Name);
  checkServiceSpec(given, checkConstraints);
  const spec = withNetworkIds(view, given);
  const kept = authFrom === 'previous-spec' ? previousSpec(view, service) : service.Spec;
  return withAuth(spec, sentAuth ?? kept?.TaskTemplate.RegistryAuth);
}

async function remove(call: Call, manager: ManagerAccess): Promise<void> {
  let isDone = false;
  while (!isDone) {
    isDone = await writeAgain(call.services, manager, (transaction) => {
      const aside = transaction.setAside('service', call.params.id!);
      if (aside !== undefined)
        return removeUnreadable(transaction, aside.id, manager.store.timeMs());
      const service = find(transaction, 'service', call.params.id!);
      if (service.PendingDelete !== true)
        transaction.update('service', { ...service, PendingDelete: true });
      return true;
    });
  }
  sendEmpty(call.response);
}

export const serviceRoutes: readonly Route[] = [
  { method: 'GET', pattern: '/services', on: 'read', handle: list },
  { method: 'POST', pattern: '/services/create', on: 'leader', repeat: 'key', handle: create },
  { method: 'GET', pattern: '/services/{id}', on: 'read', handle: inspect },
  { method: 'DELETE', pattern: '/services/{id}', on: 'leader', repeat: 'removal', handle: remove },
  {
    method: 'POST',
    pattern: '/services/{id}/update',
    on: 'leader',
    repeat: 'version',
    handle: update,
  },
];
