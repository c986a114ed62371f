import fc from 'fast-check';
import { isPlainObject } from '../../src/store/share.js';
import type { Draft, Kind } from '../../src/store/store.js';
import {
  clusterDraft,
  networkDraft,
  nodeDraft,
  revisionDraft,
  serviceDraft,
  taskDraft,
} from './objects.js';

/** Values that no field has, or only a few; all can be stored as MessagePack. */
export const STRANGE: readonly unknown[] = [
  null,
  true,
  0,
  -1,
  1.5,
  Number.NaN,
  2 ** 60,
  Number.MAX_SAFE_INTEGER,
  Number.MIN_SAFE_INTEGER,
  2n ** 60n,
  '',
  'x',
  '\u001b[31m\n',
  '169.254.169.254; reboot',
  [],
  [null],
  [[]],
  {},
  { Ports: {} },
  { ID: null },
  new Date(0),
  Buffer.from([1, 2, 3]),
];

/** A good object of each kind with most of its optional parts, to be damaged. */
export function fullDraft(kind: Kind, id: string): Draft<Kind> {
  const port = {
    Protocol: 'tcp',
    TargetPort: 80,
    PublishedPort: 8080,
    PublishMode: 'ingress',
  } as const;
  switch (kind) {
    case 'cluster':
      return clusterDraft(id);
    case 'removed-node':
      return { ID: id, Until: '2027-01-01T00:00:00.000Z' } as Draft<'removed-node'>;
    case 'node':
      return nodeDraft(id, {
        Spec: { Name: id, Labels: { zone: 'a' }, Role: 'worker', Availability: 'active' },
        Mesh: { Index: 9, Address: '198.18.0.9', Subnet: '10.240.9.0/24' },
        CertificateExpiresAt: '2027-01-01T00:00:00Z',
      });
    case 'service':
      return serviceDraft(
        id,
        {
          Endpoint: { Spec: { Ports: [port] }, Ports: [port] },
          JobStatus: {
            JobIteration: { Index: 1 },
            LastExecution: '2026-01-01T00:00:00Z',
          },
          UpdateStatus: { State: 'completed', Message: '', StartedAt: '2026-01-01T00:00:00Z' },
        },
        {
          EndpointSpec: { Ports: [port] },
          UpdateConfig: { Parallelism: 1, Order: 'stop-first' },
          TaskTemplate: {
            ContainerSpec: {
              Image: 'nginx',
              Env: ['a=b'],
              Mounts: [{ Type: 'bind', Target: '/a' }],
            },
            Resources: { Reservations: { NanoCPUs: 1e9 } },
            Placement: { Constraints: ['node.role == worker'], MaxReplicas: 2 },
            RestartPolicy: { Condition: 'any', Delay: 1e9 },
            ForceUpdate: 0,
          },
        },
      );
    case 'task':
      return taskDraft(id, {
        NodeID: 'n1',
        Status: {
          Timestamp: '2026-01-01T00:00:00.000Z',
          State: 'running',
          Message: 'started',
          ContainerStatus: { ContainerID: 'c', PID: 1 },
          PortStatus: { Ports: [port] },
          Address: '198.18.0.1',
          Ready: true,
        },
        Endpoint: { Ports: [port] },
        NetworksAttachments: [
          { Network: { ID: 'net', Spec: { Name: 'ingress' } }, Addresses: ['10.240.1.9/32'] },
        ],
        Restart: { Attempts: 1, Failures: 0, NotBefore: '2026-01-01T00:00:00Z' },
      });
    case 'network':
      return networkDraft(id);
    case 'secret':
    case 'config':
      return { ID: id, Spec: { Name: id, Labels: {}, Data: 'eA==' } } as Draft<'secret'>;
    case 'revision':
      return revisionDraft(id);
  }
}

/** One place to damage. Chooses the names on the path by number, so that every path leads somewhere. */
interface Spoil {
  readonly path: readonly number[];
  readonly value: unknown;
  readonly remove: boolean;
}

export const spoils: fc.Arbitrary<readonly Spoil[]> = fc.array(
  fc.record({
    path: fc.array(fc.nat(30), { minLength: 1, maxLength: 5 }),
    value: fc.oneof(fc.constantFrom(...STRANGE), fc.jsonValue({ maxDepth: 2 })),
    remove: fc.boolean(),
  }),
  { minLength: 1, maxLength: 3 },
);

/** A copy of the object with the places damaged; keeps its id, because nothing without one can be stored. */
export function spoil(object: object, all: readonly Spoil[]): Record<string, unknown> {
  const copy = structuredClone(object) as Record<string, unknown> & { readonly ID: string };
  for (const { path, value, remove } of all) {
    let at: Record<string, unknown> = copy;
    for (const [depth, step] of path.entries()) {
      const names = Object.keys(at).filter((name) => at !== copy || name !== 'ID');
      const name = names[step % Math.max(1, names.length)];
      if (name === undefined) break;
      const inner = at[name];
      if (depth < path.length - 1 && (isPlainObject(inner) || Array.isArray(inner))) {
        at = inner as Record<string, unknown>;
        continue;
      }
      if (remove && !Array.isArray(at)) delete at[name];
      // A copy: a later step may go down into it.
      else at[name] = structuredClone(value);
      break;
    }
  }
  return copy;
}
