import {
  type Cluster,
  clusterDefaults,
  INGRESS_SUBNET,
  INGRESS_VNI,
  type Network,
  PROGRAM,
  type Service,
} from '@swarm/api';
import type { Body } from '../../src/store/command.js';
import type { Draft, Kind, Objects, Store } from '../../src/store/store.js';
import type { TestStore } from './test-store.js';

type Patch<K extends Kind> = Partial<Draft<K>>;

/** A ready, active worker named `id` with 4 CPUs, 8 GiB, x86_64 Linux and the docker runtime. */
export function nodeDraft(id: string, patch: Patch<'node'> = {}): Draft<'node'> {
  return {
    ID: id,
    Spec: { Labels: {}, Role: 'worker', Availability: 'active' },
    Description: {
      Hostname: id,
      Platform: { Architecture: 'x86_64', OS: 'linux' },
      Resources: { NanoCPUs: 4e9, MemoryBytes: 8 * 1024 ** 3 },
      Engine: { EngineVersion: '1.0' },
      Runtime: 'docker',
    },
    Status: { State: 'ready', Addr: '198.18.0.1' },
    Role: 'worker',
    ...patch,
  };
}

/** A service with one replica of `nginx`, no ports. The name is the id unless the patch says otherwise. */
export function serviceDraft(
  id: string,
  patch: Patch<'service'> = {},
  spec: Partial<Service['Spec']> = {},
): Draft<'service'> {
  return {
    ID: id,
    Spec: {
      Name: id,
      Labels: {},
      TaskTemplate: { ContainerSpec: { Image: 'nginx' }, ForceUpdate: 0 },
      Mode: { Replicated: { Replicas: 1 } },
      ...spec,
    },
    SpecVersion: { Index: 1 },
    Endpoint: { Spec: {} },
    ...patch,
  };
}

/** The first revision of service `service`, completed. */
export function revisionDraft(id: string, patch: Patch<'revision'> = {}): Draft<'revision'> {
  return {
    ID: id,
    ServiceID: 'service',
    Number: 1,
    Spec: serviceDraft('service').Spec,
    SpecVersion: { Index: 1 },
    Cause: 'create',
    StartedAt: '2026-01-01T00:00:00.000Z',
    Outcome: 'completed',
    EndedAt: '2026-01-01T00:00:01.000Z',
    CompletedAt: '2026-01-01T00:00:01.000Z',
    ...patch,
  };
}

/** A task of service `service`, slot 1, observed NEW, desired RUNNING. */
export function taskDraft(id: string, patch: Patch<'task'> = {}): Draft<'task'> {
  return {
    ID: id,
    Name: `service.1.${id}`,
    Labels: {},
    Spec: { ContainerSpec: { Image: 'nginx' }, ForceUpdate: 0 },
    SpecVersion: { Index: 1 },
    ServiceID: 'service',
    ServiceName: 'service',
    ServiceLabels: {},
    Slot: 1,
    Status: { Timestamp: '2026-01-01T00:00:00.000Z', State: 'new', Message: 'created' },
    DesiredState: 'running',
    Endpoint: { Ports: [] },
    ...patch,
  };
}

/** The cluster object with defaults, and no real keys. */
export function clusterDraft(id: string, spec: Partial<Cluster['Spec']> = {}): Draft<'cluster'> {
  return {
    ID: id,
    Spec: { ...clusterDefaults(), ...spec },
    TLSInfo: { TrustRoot: '', CertIssuerSubject: '', CertIssuerPublicKey: '' },
    RootRotationInProgress: false,
    FeatureLevel: PROGRAM.FeatureLevel.Newest,
    DefaultAddrPool: ['10.0.0.0/8'],
    SubnetSize: 24,
    DataPathPort: 4789,
    JoinTokens: { Worker: '', Manager: '' },
    Private: { CAKey: '', CACert: '', RemovedNodes: {} },
  };
}

/** An overlay network. */
export function networkDraft(id: string, patch: Patch<'network'> = {}): Draft<'network'> {
  const spec: Network['Spec'] = {
    Name: id,
    Labels: {},
    Driver: 'overlay',
    DriverOpts: {},
    Internal: false,
    Attachable: false,
    Ingress: false,
    IPv6Enabled: false,
    Scope: 'swarm',
  };
  return { ID: id, Spec: spec, Subnets: [], VNI: 4097, ...patch };
}

/** The ingress network, as the allocator makes it. */
export function ingressDraft(id = 'ingress'): Draft<'network'> {
  const { Spec } = networkDraft('ingress');
  const Subnets = [{ Subnet: INGRESS_SUBNET, Gateway: '10.240.0.1' }];
  return { ID: id, Spec: { ...Spec, Ingress: true }, Subnets, VNI: INGRESS_VNI };
}

/** Stores one object and returns it as stored. */
export async function put<K extends Kind>(
  store: Store,
  kind: K,
  draft: Draft<K>,
): Promise<Objects[K]> {
  await store.transact((transaction) => transaction.create(kind, draft));
  return store.get(kind, draft.ID) as Objects[K];
}

/** Changes the stored object. */
export async function patch<K extends Kind>(
  store: Store,
  kind: K,
  id: string,
  change: (object: Objects[K]) => Objects[K],
): Promise<Objects[K]> {
  await store.transact((transaction) => {
    const object = transaction.get(kind, id);
    if (object === undefined) throw new Error(`no ${kind} ${id}`);
    transaction.update(kind, change(object));
  });
  return store.get(kind, id) as Objects[K];
}

/** Changes the stored object to one that no transaction would accept. */
export async function patchStored<K extends Kind>(
  store: TestStore,
  kind: K,
  id: string,
  change: (object: Objects[K]) => object,
): Promise<void> {
  const object = store.get(kind, id);
  if (object === undefined) throw new Error(`no ${kind} ${id}`);
  const {
    Version,
    CreatedAt: _created,
    UpdatedAt: _updated,
    ...body
  } = change(object) as Objects[K];
  await store.inject({ action: 'update', kind, body: body as Body, expected: Version.Index });
}
