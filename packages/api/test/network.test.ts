import test from 'ava';
import fc from 'fast-check';
import {
  ENDPOINT_MARK_BITS,
  INGRESS_SUBNET,
  isTaskAddress,
  isTaskOffset,
  isTunnelled,
  MARK_BITS,
  NODE_INDEX_BITS,
  NODE_INDEX_FIRST,
  NODE_INDEX_LAST,
  meshPortKey,
  nodeBlock,
  parseIpAddress,
  portKey,
  publishedKey,
  Subnet,
} from '../src/index.js';

const subnet = (text: string): Subnet => Subnet.of(text);

test('a subnet with host bits is refused', (t) => {
  t.is(subnet('10.240.3.0/24').toString(), '10.240.3.0/24');
  t.is(subnet('FD00:0::/64').toString(), 'fd00::/64');
  for (const text of ['10.240.3.1/24', 'fd00::1/64', '10.240.3.0/33', '10.240.3.0', '', 7]) {
    t.is(Subnet.parse(text), undefined, String(text));
  }
  t.throws(() => Subnet.of('10.240.3.1/24'), { message: '10.240.3.1/24 is not a subnet' });
});

test('each address of a subnet has one offset, and each offset one address', (t) => {
  const cases = fc.constantFrom(
    '10.240.0.0/12',
    '192.0.2.0/31',
    '0.0.0.0/0',
    'fd00:1::/64',
    'fd00::5/128',
  );
  const check = fc.property(cases, fc.double({ min: 0, max: 1, noNaN: true }), (text, part) => {
    const network = subnet(text);
    const offset = Math.floor(part * (network.size - 1));
    const address = network.addressAt(offset);
    return parseIpAddress(address) === address && network.offsetOf(address) === offset;
  });
  t.notThrows(() => fc.assert(check));
});

test('an address outside a subnet has no offset in it', (t) => {
  const outside = (network: string, address: string) =>
    subnet(network).offsetOf(parseIpAddress(address)!);
  t.is(outside('10.240.3.0/24', '10.240.2.255'), undefined);
  t.is(outside('10.240.3.0/24', '10.240.4.0'), undefined);
  t.is(outside('10.240.3.0/24', 'fd00::1'), undefined);
  t.is(outside('fd00::/64', '10.240.3.1'), undefined);
  t.is(outside('fd00::/64', 'fd00:0:0:1::'), undefined);
  t.throws(() => subnet('10.240.3.0/24').addressAt(256), { message: /no address number 256/ });
});

test('the ingress network has a block for each index of a node, and no other', (t) => {
  const ingress = subnet(INGRESS_SUBNET);
  t.is(nodeBlock(ingress, NODE_INDEX_FIRST)?.toString(), '10.240.1.0/24');
  t.is(nodeBlock(ingress, 300)?.toString(), '10.241.44.0/24');
  t.is(nodeBlock(ingress, NODE_INDEX_LAST)?.toString(), '10.255.255.0/24');
  for (const index of [0, -1, 1.5, NODE_INDEX_LAST + 1]) t.is(nodeBlock(ingress, index), undefined);
  t.is(nodeBlock(subnet('10.0.0.0/24'), 1), undefined, 'it has room for one block only');
});

test('a block keeps the addresses of network, node and broadcast from tasks', (t) => {
  const block = subnet('10.240.3.0/24');
  t.deepEqual(
    [0, 1, 2, 254, 255].map((offset) => isTaskOffset(block, offset)),
    [false, false, true, true, false],
  );
  t.true(isTaskOffset(subnet('fd00::/120'), 255), 'IPv6 has no broadcast');
});

test('a mark holds the index of a node and the id of an endpoint, and nothing else', (t) => {
  t.is(NODE_INDEX_BITS + ENDPOINT_MARK_BITS, MARK_BITS);
});

test('a port is named by protocol and number', (t) => {
  t.is(portKey('tcp', 80), 'tcp/80');
  t.is(publishedKey({ Protocol: 'udp', PublishedPort: 53 }), 'udp/53');
  t.is(publishedKey({ Protocol: 'udp' }), 'udp/0');
});

test('network, node and broadcast address of a block are not for tasks', (t) => {
  const block = subnet('10.240.3.0/24');
  const may = (text: string) => isTaskAddress(block, parseIpAddress(text)!);
  t.deepEqual(['10.240.3.0', '10.240.3.1', '10.240.3.2', '10.240.3.254', '10.240.3.255'].map(may), [
    false,
    false,
    true,
    true,
    false,
  ]);
  t.false(may('10.240.4.2'));
  t.false(may('::2'));
});

test('a node is tunnelled unless it says that its mesh runs in user space', (t) => {
  t.true(isTunnelled(undefined));
  t.true(isTunnelled({}));
  t.true(isTunnelled({ MeshBackend: 'nftables' }));
  t.false(isTunnelled({ MeshBackend: 'userspace' }));
});

test('a port of the mesh has the key of its protocol and number', (t) => {
  t.is(meshPortKey({ protocol: 'udp', publishedPort: 53 }), portKey('udp', 53));
});
