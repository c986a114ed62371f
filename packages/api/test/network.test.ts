import test from 'ava';
import {
  addressPools,
  type ApiError,
  decodeNetwork,
  type ErrorCode,
  INGRESS_SUBNET,
  ingressRoom,
  isClusterNetwork,
  isEncrypted,
  NODE_INDEX_LAST,
  nodeBlock,
  nodeIndexOf,
  Subnet,
  TASK_OFFSET_FIRST,
  taskOffsetLast,
} from '../src/index.js';

const refusal = (body: object): ApiError | undefined => {
  try {
    decodeNetwork({ Name: 'back', Driver: 'overlay', ...body });
    return undefined;
  } catch (error) {
    return error as ApiError;
  }
};

test('what a stock client sends for a network becomes its spec', (t) => {
  const spec = decodeNetwork({
    Name: 'back',
    CheckDuplicate: true,
    Driver: 'overlay',
    Scope: '',
    EnableIPv6: true,
    IPAM: {
      Driver: 'default',
      Options: {},
      Config: [
        { Subnet: '10.1.0.0/24', IPRange: '10.1.0.128/25', Gateway: '10.1.0.7' },
        { Subnet: 'FD01::0/64' },
        { Subnet: '' },
      ],
    },
    Internal: true,
    Attachable: true,
    Ingress: false,
    ConfigOnly: false,
    ConfigFrom: null,
    Options: { encrypted: '', 'com.docker.network.driver.mtu': '1400' },
    Labels: { a: 'b' },
  });
  t.deepEqual(spec, {
    Name: 'back',
    Labels: { a: 'b' },
    Driver: 'overlay',
    DriverOpts: { encrypted: '', 'com.docker.network.driver.mtu': '1400' },
    Internal: true,
    Attachable: true,
    Ingress: false,
    IPv6Enabled: true,
    Scope: 'swarm',
    IPAM: {
      Driver: 'default',
      Config: [
        { Subnet: '10.1.0.0/24', Gateway: '10.1.0.7', IPRange: '10.1.0.128/25' },
        { Subnet: 'fd01::/64' },
      ],
    },
  });
  t.true(isEncrypted(spec));
  t.false(isEncrypted({ DriverOpts: { encrypted: 'false' } }));
  t.false(isEncrypted({ DriverOpts: {} }));
});

const config = (...Config: object[]) => ({ IPAM: { Config } });
const REFUSED: readonly (readonly [object, ErrorCode, RegExp])[] = [
  [{ Name: '' }, 'INVALID_ARGUMENT', /^name must be provided$/],
  [{ Name: 'a b' }, 'INVALID_ARGUMENT', /DNS name component/],
  [{ Name: 'bridge' }, 'PERMISSION_DENIED', /^operation is not permitted on predefined bridge/],
  [{ Driver: 'macvlan' }, 'UNIMPLEMENTED', /^Driver: .*"macvlan"/],
  [{ Scope: 'local' }, 'INVALID_ARGUMENT', /^Scope: .*not "local"/],
  [
    { EnableIPv4: false },
    'INVALID_ARGUMENT',
    /^IPv4 cannot be disabled in a Swarm scoped network$/,
  ],
  [{ ConfigOnly: true }, 'UNIMPLEMENTED', /^ConfigOnly/],
  [{ ConfigFrom: { Network: 'x' } }, 'UNIMPLEMENTED', /^ConfigFrom/],
  [{ IPAM: { Driver: 'dhcp' } }, 'UNIMPLEMENTED', /^IPAM\.Driver: "dhcp"/],
  [{ IPAM: { Options: { a: 'b' } } }, 'UNIMPLEMENTED', /^IPAM\.Options/],
  [config({ Subnet: 'x' }), 'INVALID_ARGUMENT', /^ipam configuration: invalid subnet x$/],
  [config({ Gateway: '10.1.0.1' }), 'INVALID_ARGUMENT', /^ipam configuration: invalid subnet $/],
  [config({ Subnet: '10.1.0.9/24' }), 'INVALID_ARGUMENT', /it should be 10\.1\.0\.0\/24$/],
  [config({ Subnet: '127.1.0.0/24' }), 'INVALID_ARGUMENT', /127\.1\.0\.0\/24: it has loopback/],
  [config({ Subnet: '224.0.0.0/4' }), 'INVALID_ARGUMENT', /multicast/],
  [config({ Subnet: '0.0.0.0/0' }), 'INVALID_ARGUMENT', /addresses of no host/],
  [config({ Subnet: '10.1.0.0/31' }), 'INVALID_ARGUMENT', /use \/30 or larger$/],
  [
    config({ Subnet: '10.1.0.0/24', Gateway: '10.2.0.1' }),
    'INVALID_ARGUMENT',
    /^ipam configuration: subnet 10\.1\.0\.0\/24 does not contain gateway 10\.2\.0\.1$/,
  ],
  [config({ Subnet: '10.1.0.0/24', Gateway: '10.1.0.255' }), 'INVALID_ARGUMENT', /first or last/],
  [
    config({ Subnet: '10.1.0.0/24', IPRange: '10.2.0.0/25' }),
    'INVALID_ARGUMENT',
    /^ipam configuration: subnet 10\.1\.0\.0\/24 does not contain range 10\.2\.0\.0\/25$/,
  ],
  [
    config({ Subnet: '10.1.0.0/24', AuxiliaryAddresses: { a: '10.1.0.3' } }),
    'UNIMPLEMENTED',
    /Aux/,
  ],
  [
    config({ Subnet: '10.1.0.0/24' }, { Subnet: '10.2.0.0/24' }),
    'INVALID_ARGUMENT',
    /one subnet of each family, and 10\.1\.0\.0\/24 and 10\.2\.0\.0\/24 are both IPv4/,
  ],
  [config({ Subnet: 'fd01::/64' }), 'INVALID_ARGUMENT', /fd01::\/64 is IPv6: set EnableIPv6/],
  [
    { Options: { foo: 'x' } },
    'INVALID_ARGUMENT',
    /^Options\["foo"\]: overlay networks have no such/,
  ],
  [{ Options: { encrypted: 'maybe' } }, 'INVALID_ARGUMENT', /^Options\["encrypted"\]/],
  [{ Options: { 'com.docker.network.driver.mtu': '9' } }, 'INVALID_ARGUMENT', /from 576 to 65535/],
  [
    { EnableIPv6: true, Options: { 'com.docker.network.driver.mtu': '1279' } },
    'INVALID_ARGUMENT',
    /from 1280 to 65535/,
  ],
  [
    { Options: { 'com.docker.network.driver.overlay.vxlanid_list': '4096' } },
    'INVALID_ARGUMENT',
    /from 4097 to 16777215/,
  ],
  [{ Surprise: 1 }, 'INVALID_ARGUMENT', /^Surprise: no such field/],
  [
    { Ingress: true, Attachable: true },
    'INVALID_ARGUMENT',
    /^ingress network cannot be attachable$/,
  ],
  [{ Ingress: true, Internal: true }, 'INVALID_ARGUMENT', /internal/],
  [{ Ingress: true, EnableIPv6: true }, 'UNIMPLEMENTED', /^EnableIPv6/],
  [{ Ingress: true, Options: { encrypted: '' } }, 'UNIMPLEMENTED', /^Options\["encrypted"\]/],
  [
    { Ingress: true, Options: { 'com.docker.network.driver.overlay.vxlanid_list': '5000' } },
    'UNIMPLEMENTED',
    /every ingress network has VNI 4096; leave it out$/,
  ],
  [
    { Ingress: true, Options: { 'com.docker.network.driver.mtu': '500' } },
    'INVALID_ARGUMENT',
    /from 576 to 65535/,
  ],
  [
    { Ingress: true, ...config({ Subnet: '10.0.0.0/8' }) },
    'INVALID_ARGUMENT',
    /^ipam configuration: invalid subnet 10\.0\.0\.0\/8: it is larger than nodes can use; an ingress network has \/12 \(4095 nodes with 253 tasks each\) to \/26 \(7 nodes with 5 tasks each\)$/,
  ],
  [
    { Ingress: true, ...config({ Subnet: '10.11.0.0/27' }) },
    'INVALID_ARGUMENT',
    /10\.11\.0\.0\/27: it has too few addresses; an ingress network has \/12 /,
  ],
  [
    { Ingress: true, ...config({ Subnet: '10.11.0.0/16', IPRange: '10.11.4.0/24' }) },
    'UNIMPLEMENTED',
    /leave IPRange out/,
  ],
  [
    { Ingress: true, ...config({ Subnet: '10.11.0.0/16', Gateway: '10.11.1.2' }) },
    'INVALID_ARGUMENT',
    /invalid gateway 10\.11\.1\.2: it is in the block of a node; .* take one of 10\.11\.0\.0\/24, or none$/,
  ],
];
for (const [body, code, message] of REFUSED) {
  test(`a network is refused precisely: ${JSON.stringify(body)}`, (t) => {
    const error = refusal(body);
    t.is(error?.code, code);
    t.regex(error?.message ?? '', message);
  });
}

test('an ingress network may have a subnet, a gateway in the first block and an MTU', (t) => {
  const spec = decodeNetwork({
    ...{ Name: 'my-ingress', Driver: 'overlay', Ingress: true },
    ...config({ Subnet: '10.11.0.0/16', Gateway: '10.11.0.2' }),
    Options: { 'com.docker.network.driver.mtu': '1200' },
  });
  t.deepEqual(spec.IPAM?.Config, [{ Subnet: '10.11.0.0/16', Gateway: '10.11.0.2' }]);
  t.deepEqual(spec.DriverOpts, { 'com.docker.network.driver.mtu': '1200' });
});

test('nodes and tasks share the addresses of an ingress network', (t) => {
  const rooms = [12, 14, 16, 17, 18, 20, 24, 25, 26].map((prefixLength) => {
    const network = Subnet.of(`10.0.0.0/${prefixLength}`);
    const { nodes, tasks } = ingressRoom(network);
    t.not(nodeBlock(network, nodes), undefined, `/${prefixLength} has a block for its last node`);
    if (nodes < NODE_INDEX_LAST) t.is(nodeBlock(network, nodes + 1), undefined);
    for (const index of [1, nodes]) {
      const block = nodeBlock(network, index)!;
      t.is(taskOffsetLast(block) - TASK_OFFSET_FIRST + 1, tasks, 'as many as the book gives');
      for (const offset of [0, block.size - 1])
        t.is(nodeIndexOf(network, block.addressAt(offset)), index);
    }
    t.is(nodeIndexOf(network, network.addressAt(1)), undefined, 'nobody has block 0');
    return `/${prefixLength} ${nodes}x${tasks}`;
  });
  t.deepEqual(rooms, [
    ...['/12 4095x253', '/14 1023x253', '/16 255x253', '/17 255x125', '/18 127x125'],
    ...['/20 63x61', '/24 15x13', '/25 15x5', '/26 7x5'],
  ]);
});

test('the ingress network may be asked for with the subnet that it has by itself', (t) => {
  const body = { Ingress: true, ...config({ Subnet: INGRESS_SUBNET, Gateway: '10.240.0.1' }) };
  t.is(refusal(body), undefined);
  t.is(refusal({ Ingress: true }), undefined);
});

test('a body says whose the network is, whatever the rest of it', (t) => {
  for (const body of [{ Driver: 'overlay' }, { scope: 'swarm' }, { Ingress: true, Name: 5 }])
    t.true(isClusterNetwork(body), JSON.stringify(body));
  for (const body of [{}, { Driver: 'bridge' }, { Scope: 'local' }, { Ingress: false }, null, []])
    t.false(isClusterNetwork(body), JSON.stringify(body));
});

test('address pools have Docker’s default and are checked', (t) => {
  t.deepEqual(addressPools(undefined, undefined), { pools: ['10.0.0.0/8'], subnetSize: 24 });
  t.deepEqual(addressPools([], 0), { pools: ['10.0.0.0/8'], subnetSize: 24 });
  t.deepEqual(addressPools(['10.20.0.0/16', '10.30.0.0/16'], 26), {
    pools: ['10.20.0.0/16', '10.30.0.0/16'],
    subnetSize: 26,
  });
  for (const [pools, size, message] of [
    [undefined, 30, /^subnet size is out of range: 30$/],
    [['10.20.0.0/26'], 24, /Subnet size is too small for pool: 24$/],
    [['x'], 24, /^invalid base pool "x"/],
    [['10.20.0.1/16'], 24, /^invalid base pool "10\.20\.0\.1\/16"/],
    [['10.20.0.0/16', '10.20.128.0/17'], 24, /10\.20\.128\.0\/17 overlaps with 10\.20\.0\.0\/16/],
    [['fd00::/48'], 24, /pools are IPv4/],
    [['127.0.0.0/16'], 24, /loopback/],
    [Array.from({ length: 65 }, (_, i) => `10.${i}.0.0/16`), 24, /at most 64/],
  ] as const) {
    t.throws(() => addressPools(pools, size), { code: 'INVALID_ARGUMENT', message });
  }
});

test('subnets know what they have in common', (t) => {
  const [large, small, other, v6] = ['10.0.0.0/8', '10.1.0.0/16', '11.0.0.0/8', 'fd00::/8'].map(
    Subnet.of,
  ) as [Subnet, Subnet, Subnet, Subnet];
  t.true(large.contains(small) && large.overlaps(small) && small.overlaps(large));
  t.false(small.contains(large) || large.overlaps(other) || large.overlaps(v6));
  t.is(String(Subnet.enclosing('10.1.2.3/16')), '10.1.0.0/16');
  t.is(String(Subnet.enclosing('fd00::5/64')), 'fd00::/64');
  t.is(Subnet.enclosing('10.1.2.3'), undefined);
});
