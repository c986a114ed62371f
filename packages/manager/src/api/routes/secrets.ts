import { ApiError, configFilters, secretFilters } from '@swarm/api';
import { sendJson } from '@swarm/http';
import { find } from '../lookup.js';
import type { ManagerAccess } from '../manager-access.js';
import { presentEach } from '../present/each.js';
import type { Call, Route } from '../router.js';

function unserved(kind: 'secrets' | 'configs'): never {
  throw new ApiError(
    'UNIMPLEMENTED',
    `${kind} are not served yet; put the data on the nodes and mount it with ` +
      '--mount type=bind,source=…,target=…,readonly',
  );
}

/** A secret as the API shows it: without its payload. */
function withoutData<T extends { readonly Spec: { readonly Data?: string } }>(object: T): object {
  const { Data: _, ...spec } = object.Spec;
  return { ...object, Spec: spec };
}

function listSecrets(call: Call, manager: ManagerAccess): void {
  const matches = secretFilters(call.target.query.get('filters'));
  const { aside } = call.services;
  const secrets = manager.store.list('secret');
  sendJson(call.response, presentEach(aside, 'secret', secrets, matches, withoutData));
}

function listConfigs(call: Call, manager: ManagerAccess): void {
  const matches = configFilters(call.target.query.get('filters'));
  const { aside } = call.services;
  const configs = manager.store.list('config');
  sendJson(
    call.response,
    presentEach(aside, 'config', configs, matches, (config) => config),
  );
}

function inspectSecret(call: Call, manager: ManagerAccess): void {
  sendJson(call.response, withoutData(find(manager.store, 'secret', call.params.id!)));
}

function inspectConfig(call: Call, manager: ManagerAccess): void {
  sendJson(call.response, find(manager.store, 'config', call.params.id!));
}

function removeSecret(call: Call, manager: ManagerAccess): never {
  find(manager.store, 'secret', call.params.id!);
  return unserved('secrets');
}

function removeConfig(call: Call, manager: ManagerAccess): never {
  find(manager.store, 'config', call.params.id!);
  return unserved('configs');
}

export const secretRoutes: readonly Route[] = [
  { method: 'GET', pattern: '/secrets', on: 'read', handle: listSecrets },
  { method: 'POST', pattern: '/secrets/create', on: 'read', handle: () => unserved('secrets') },
  { method: 'GET', pattern: '/secrets/{id}', on: 'read', handle: inspectSecret },
  { method: 'DELETE', pattern: '/secrets/{id}', on: 'read', handle: removeSecret },
  {
    method: 'POST',
    pattern: '/secrets/{id}/update',
    on: 'read',
    handle: () => unserved('secrets'),
  },
  { method: 'GET', pattern: '/configs', on: 'read', handle: listConfigs },
  { method: 'POST', pattern: '/configs/create', on: 'read', handle: () => unserved('configs') },
  { method: 'GET', pattern: '/configs/{id}', on: 'read', handle: inspectConfig },
  { method: 'DELETE', pattern: '/configs/{id}', on: 'read', handle: removeConfig },
  {
    method: 'POST',
    pattern: '/configs/{id}/update',
    on: 'read',
    handle: () => unserved('configs'),
  },
];
