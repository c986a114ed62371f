import fc, { type Arbitrary } from 'fast-check';
import type { Knowledge } from './facts.js';
import { mutated } from './mutation.js';
import {
  type BodyKind,
  NODE_SURFACE,
  SOCKET_PATHS,
  type SurfaceRoute,
  UNSERVED_PATHS,
} from './surface.js';
import { ADDRESSES, ids, TEXTS, texts } from './values.js';

const METHODS = [
  'GET',
  'HEAD',
  'POST',
  'PUT',
  'DELETE',
  'PATCH',
  'OPTIONS',
  'TRACE',
  'CONNECT',
  'get',
  'PRI',
];
const SPEC_KEYS_LIMIT = 6;
const JSON_DEEP = 20_000;

/** Methods whose request is the last on its connection: a tunnel, or one that parsers reject. */
const LAST_METHODS = new Set(['CONNECT', 'get', 'PRI']);

/** A request to send. */
export interface HostileRequest {
  /** `POST /services/{id}/update`, for counts and permissions. */
  readonly label: string;
  readonly method: string;
  readonly bytes: Buffer;
  /** Whether the manager reads nothing after it on its connection as a request. */
  readonly isLast: boolean;
}

/** Requests for every route, with valid and invalid bodies, queries and forged headers. */
export function requests(
  known: Knowledge,
  surface: readonly SurfaceRoute[],
): Arbitrary<HostileRequest> {
  const bodies = requestBodies(known);
  const id = ids(known);
  const headers = forgedHeaders(known);
  const served = surface.map((route) => {
    const query = queries(known, route.query ?? []);
    return fc
      .tuple(id, query, headers, bodies[route.body])
      .map(([part, search, extra, body]) =>
        render(labelOf(route), route.method, pathOf(route, part) + search, extra, body),
      );
  });
  const otherMethod = fc
    .tuple(fc.constantFrom(...surface), fc.constantFrom(...METHODS), id, headers)
    .map(([route, method, part, extra]) =>
      render(`${method} ${route.pattern}`, method, pathOf(route, part), extra, undefined),
    );
  const unserved = fc
    .tuple(fc.constantFrom(...UNSERVED_PATHS), fc.constantFrom(...METHODS), headers)
    .map(([path, method, extra]) => render('unserved', method, path, extra, undefined));
  const upgrade = fc
    .tuple(
      fc.constantFrom<string>(...SOCKET_PATHS, '/nodes', '/session', '/exec/x/start', '/ca/root'),
      headers,
    )
    .map(([path, extra]) => ({
      label: `UPGRADE ${path}`,
      method: 'GET',
      bytes: upgradeRequest(path, extra),
      isLast: true,
    }));
  const node = served.slice(0, NODE_SURFACE.length);
  return fc.oneof(
    { weight: 6, arbitrary: fc.oneof(...served) },
    // Routes that answer anybody are worth more tries.
    { weight: 2, arbitrary: node.length === 0 ? fc.oneof(...served) : fc.oneof(...node) },
    { weight: 1, arbitrary: otherMethod },
    { weight: 1, arbitrary: unserved },
    { weight: 1, arbitrary: upgrade },
  );
}

export function labelOf({ method, pattern }: Pick<SurfaceRoute, 'method' | 'pattern'>): string {
  return `${method} ${pattern}`;
}

/** The request that opens a WebSocket (RFC 6455 §4.1). */
export function upgradeRequest(path: string, extra: readonly string[] = []): Buffer {
  const lines = [
    `GET ${path} HTTP/1.1`,
    'Host: manager',
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==',
    ...extra,
  ];
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n`);
}

function pathOf({ pattern }: SurfaceRoute, part: string): string {
  return pattern.replace(/\{\w+(\.\.\.)?\}/, () => encodePart(part));
}

/** Encodes a path as a client would, or nearly so. */
function encodePart(part: string): string {
  try {
    return encodeURIComponent(part) || '%20';
  } catch {
    // A lone surrogate.
    return '%ED%A0%80';
  }
}

function render(
  label: string,
  method: string,
  path: string,
  headers: readonly string[],
  body: Buffer | undefined,
): HostileRequest {
  const lines = [`${method} ${path} HTTP/1.1`, 'Host: manager', ...headers];
  if (body !== undefined)
    lines.push('Content-Type: application/json', `Content-Length: ${body.length}`);
  const head = Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1');
  const bytes = body === undefined ? head : Buffer.concat([head, body]);
  return { label, method, bytes, isLast: LAST_METHODS.has(method) };
}

function queries(known: Knowledge, names: readonly string[]): Arbitrary<string> {
  if (names.length === 0) return fc.constant('');
  const value = fc.oneof(
    fc.constantFrom(
      '1',
      '0',
      'true',
      '-1',
      'NaN',
      '1e999',
      '99999999999999999999',
      '{}',
      '{"id":["x"]}',
      '{"label":{"a":true}}',
      '[',
      '{"__proto__":["x"]}',
    ),
    texts(known).map((text) => text.slice(0, 100)),
  );
  return fc
    .array(fc.tuple(fc.constantFrom(...names, 'unknown'), value), { maxLength: 3 })
    .map((pairs) =>
      pairs.length === 0
        ? ''
        : `?${pairs.map(([name, text]) => `${name}=${encodePart(text)}`).join('&')}`,
    );
}

/** Headers that name another peer, as a manager would and as it would not. */
function forgedHeaders(known: Knowledge): Arbitrary<string[]> {
  const subjects = fc.record({
    nodeId: fc.oneof(fc.constantFrom(...known.managers.map(({ nodeId }) => nodeId)), ids(known)),
    role: fc.constantFrom('manager', 'worker', 'root'),
    clusterId: fc.constantFrom(known.clusterId, '', 'another'),
  });
  const proof = fc.record({
    subject: subjects,
    issuedAtMs: fc.constantFrom(0, Date.parse('2026-01-01T00:00:00Z')),
    expiresAtMs: fc.constantFrom(Date.parse('2036-01-01T00:00:00Z'), Number.MAX_SAFE_INTEGER),
  });
  const peer = fc.oneof(
    fc.record(
      { proof, remoteAddress: fc.constantFrom(...ADDRESSES) },
      { requiredKeys: ['remoteAddress'] },
    ),
    mutated(
      fc.record({ proof, remoteAddress: fc.constant('127.0.0.1') }),
      fc.constantFrom<unknown>(null, [], {}, 1, ''),
    ),
  );
  const line = fc.oneof(
    {
      weight: 4,
      arbitrary: peer.map(
        (value) => `x-swarm-peer: ${headerText(JSON.stringify(value) ?? 'null')}`,
      ),
    },
    { weight: 2, arbitrary: ids(known).map((id) => `x-swarm-forwarded-by: ${headerText(id)}`) },
    {
      weight: 2,
      arbitrary: fc.constantFrom(
        'x-forwarded-for: 127.0.0.1',
        'connection: x-swarm-peer, close',
        'x-registry-auth: e30=',
        'x-http-method-override: DELETE',
      ),
    },
  );
  return fc.array(line, { maxLength: 2 });
}

function headerText(text: string): string {
  return text.replace(/[^\t\x20-\x7e]/g, '?').slice(0, 4_000);
}

/** Bodies of each kind: valid, with one fault, or not JSON at all. */
function requestBodies(
  known: Knowledge,
): Readonly<Record<BodyKind, Arbitrary<Buffer | undefined>>> {
  const id = ids(known);
  const text = texts(known).map((value) => value.slice(0, 1_000));
  const junk = fc.constantFrom<unknown>(
    null,
    -1,
    1e308,
    0.1,
    '',
    true,
    [],
    {},
    [[[]]],
    { __proto__: null },
    2 ** 53,
    ...TEXTS,
  );
  const json = (valid: Arbitrary<unknown>): Arbitrary<Buffer | undefined> =>
    fc.oneof(
      { weight: 4, arbitrary: valid.map(encode) },
      { weight: 6, arbitrary: mutated(valid, junk).map(encode) },
      {
        weight: 1,
        arbitrary: fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
      },
      { weight: 1, arbitrary: fc.constantFrom(...oddBodies()) },
      { weight: 1, arbitrary: fc.constant(undefined) },
    );
  const labels = fc.dictionary(fc.constantFrom(...TEXTS, 'a', 'b'), text, {
    maxKeys: SPEC_KEYS_LIMIT,
  });
  const service = fc.record({
    Name: fc.constantFrom('hostile', 'stolen', ...TEXTS),
    Labels: labels,
    TaskTemplate: fc.record({
      ContainerSpec: fc.record({
        Image: fc.constantFrom('host', 'nginx', ...TEXTS),
        Command: fc.array(text, { maxLength: 3 }),
        Env: fc.array(text, { maxLength: 3 }),
      }),
    }),
    Mode: fc.constantFrom<unknown>({ Replicated: { Replicas: 3 } }, { Global: {} }),
    EndpointSpec: fc.constantFrom<unknown>({}, { Ports: [{ TargetPort: 80, PublishedPort: 1 }] }),
  });
  const address = fc.constantFrom(...ADDRESSES, '127.0.0.1:2377', '0.0.0.0:0', '[::]:2377');
  return {
    attachment: json(
      fc.record({
        Network: fc.constantFrom('ingress', ...known.networks, ...TEXTS),
        ContainerID: fc.constantFrom('0'.repeat(64), 'ab'.repeat(32), ...TEXTS),
        Name: fc.constantFrom('guest', ...TEXTS),
        Networks: fc.array(
          fc.record({
            Target: fc.constantFrom('ingress', ...known.networks, ...TEXTS),
            Aliases: fc.array(fc.constantFrom('alias', ...TEXTS), { maxLength: 3 }),
          }),
          { maxLength: 3 },
        ),
        Ports: fc.constantFrom<unknown>(
          [],
          [{ Protocol: 'tcp', TargetPort: 80, PublishedPort: 2377, PublishMode: 'host' }],
        ),
      }),
    ),
    release: json(fc.record({ TaskIDs: fc.array(id, { maxLength: 5 }) })),
    none: fc.oneof(
      { weight: 5, arbitrary: fc.constant(undefined) },
      { weight: 1, arbitrary: junk.map(encode) },
    ),
    service: json(service),
    node: json(
      fc.record({
        Name: text,
        Labels: labels,
        Role: fc.constantFrom('manager', 'worker'),
        Availability: fc.constantFrom('active', 'pause', 'drain'),
      }),
    ),
    cluster: json(
      fc.record({
        Name: text,
        Labels: labels,
        Orchestration: fc.constant({ TaskHistoryRetentionLimit: 0 }),
        Raft: fc.constant({}),
        Dispatcher: fc.constant({ HeartbeatPeriod: 1 }),
        CAConfig: fc.constant({ NodeCertExpiry: 1 }),
        EncryptionConfig: fc.constant({ AutoLockManagers: false }),
      }),
    ),
    init: json(
      fc.record({
        ListenAddr: address,
        AdvertiseAddr: address,
        ForceNewCluster: fc.boolean(),
        Spec: fc.constant({}),
      }),
    ),
    join: json(
      fc.record({
        ListenAddr: address,
        AdvertiseAddr: address,
        RemoteAddrs: fc.array(address, { maxLength: 2 }),
        JoinToken: text,
      }),
    ),
    network: json(
      fc.record({ Name: text, Driver: fc.constantFrom('overlay', 'bridge'), Labels: labels }),
    ),
    secret: json(fc.record({ Name: text, Labels: labels, Data: text })),
    logs: json(
      fc.record(
        {
          selector: fc.record(
            { serviceIds: fc.array(id, { maxLength: 2 }), taskIds: fc.array(id, { maxLength: 2 }) },
            { requiredKeys: [] },
          ),
          options: fc.record({
            follow: fc.boolean(),
            stdout: fc.boolean(),
            stderr: fc.boolean(),
            tail: fc.constantFrom(-1, 0, 5),
          }),
          resume: fc.array(
            fc.record({
              taskId: id,
              stdout: fc.record({ timestamp: text, pieces: fc.nat(9), position: text }),
            }),
            { maxLength: 3 },
          ),
        },
        { requiredKeys: ['selector', 'options'] },
      ),
    ),
    certificate: json(
      fc.record(
        {
          csr: fc.oneof(
            {
              weight: 4,
              arbitrary: fc
                .nat(1_000_000)
                .map((draw) => known.requests[draw % known.requests.length] ?? ''),
            },
            { weight: 1, arbitrary: text },
            {
              weight: 1,
              arbitrary: fc.nat(1_000_000).map((draw) => damaged(known.requests, draw)),
            },
          ),
          token: fc.oneof(
            text,
            fc.constantFrom('SWMTKN-1-0-0', `SWMTKN-1-${'0'.repeat(50)}-${'0'.repeat(25)}`),
          ),
          hostname: text,
          availability: fc.constantFrom('active', 'pause', 'drain', 'gone'),
          nodeId: id,
          role: fc.constantFrom('manager', 'worker'),
        },
        { requiredKeys: ['csr'] },
      ),
    ),
    member: json(
      fc.record({
        raftId: fc.oneof(
          fc.maxSafeNat(),
          fc.constantFrom(...known.managers.map(({ raftId }) => raftId)),
        ),
        address: fc.constantFrom('127.0.0.1:1', ...known.managers.map((each) => each.address)),
      }),
    ),
    backup: fc
      .uint8Array({ maxLength: 500 })
      .map((bytes) => Buffer.concat([Buffer.from('swarmbak'), bytes])),
  };
}

/** A certificate request with one character changed. */
function damaged(requests: readonly string[], draw: number): string {
  const request = requests[draw % (requests.length || 1)] ?? '';
  const at = 30 + (draw % Math.max(1, request.length - 60));
  return `${request.slice(0, at)}${request[at] === 'A' ? 'B' : 'A'}${request.slice(at + 1)}`;
}

function oddBodies(): Buffer[] {
  return [
    Buffer.from('{"a":'),
    Buffer.from('['.repeat(JSON_DEEP)),
    Buffer.from(`${'{"a":'.repeat(JSON_DEEP)}1${'}'.repeat(JSON_DEEP)}`),
    Buffer.from('\ufeff{}'),
    Buffer.from([0xff, 0xfe, 0x7b, 0x7d]),
    Buffer.from('{"__proto__":{"admin":true},"constructor":{"prototype":{"admin":true}}}'),
    Buffer.from(`{"a":${'9'.repeat(5_000)}}`),
    Buffer.from(`"${'\\ud800'.repeat(100)}"`),
    Buffer.alloc(70_000, 0x20),
  ];
}

function encode(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value) ?? 'null');
}
