import test from 'ava';
import fc from 'fast-check';
import { parseTunnelKey } from '../src/encryption/keys.js';
import {
  attribute,
  nested,
  readAttributes,
  text,
  u16,
  u32,
  u8,
} from '../src/netlink/attributes.js';
import { genericPayload } from '../src/netlink/generic.js';
import { NLM_F_DUMP, packMessage, readMessages } from '../src/netlink/message.js';
import { type PeerChange, readDevice, setDevice } from '../src/netlink/wireguard.js';
import {
  deleteAssociation,
  newAssociation,
  putPolicy,
  readAssociation,
  readPolicy,
} from '../src/netlink/xfrm.js';
import { ip } from './support/checked.js';

const KEY = parseTunnelKey(Buffer.alloc(32, 7).toString('base64'))!;

test('attributes have the bytes of linux/netlink.h', (t) => {
  t.is(u8(3, 32).toString('hex'), '05000300' + '20000000');
  t.is(u16(6, 4790).toString('hex'), '06000600' + 'b6120000');
  t.is(u32(31, 0x01020304).toString('hex'), '08001f00' + '04030201');
  t.is(text(2, 'wg').toString('hex'), '07000200' + '77670000');
  t.is(nested(8, [u8(1, 2)]).toString('hex'), '0c000880' + '05000100' + '02000000');
  t.throws(() => attribute(1, new Uint8Array(0xffff)), { instanceOf: RangeError });
});

test('attributes are read as they were written', (t) => {
  const values = fc.array(fc.tuple(fc.integer({ min: 0, max: 0x3fff }), fc.uint8Array()));
  fc.assert(
    fc.property(values, (list) => {
      const data = Buffer.concat(list.map(([type, value]) => attribute(type, value)));
      const read = readAttributes(data).map(({ type, value }) => [type, [...value]]);
      t.deepEqual(
        read,
        list.map(([type, value]) => [type, [...value]]),
      );
    }),
  );
  for (const broken of ['0300' + '0100', 'ff00' + '0100'])
    t.throws(() => readAttributes(Buffer.from(broken, 'hex')), { instanceOf: RangeError });
});

test('a change asks for an answer, a listing for all entries', (t) => {
  const payload = genericPayload(3, 1, [text(2, 'x')]);
  // Length, type, NLM_F_REQUEST and NLM_F_ACK, number, port; then command, version.
  t.is(
    packMessage({ type: 0x10, payload }, 5).toString('hex'),
    '1c000000' + '1000' + '0500' + '05000000' + '00000000' + '03010000' + '06000200' + '78000000',
  );
  const listing = packMessage({ type: 0x12, flags: NLM_F_DUMP, payload: Buffer.alloc(0) }, 5);
  t.is(listing.readUInt16LE(6), 0x301);
});

test('the answer to a request ends with its error, and answers to others are skipped', (t) => {
  const message = (type: number, sequence: number, payload: Buffer): Buffer => {
    const bytes = packMessage({ type, payload }, sequence);
    return bytes;
  };
  const errno = Buffer.alloc(4);
  errno.writeInt32LE(-95);
  const data = [message(0x20, 4, Buffer.of(1, 1, 1, 1)), message(0x20, 5, Buffer.of(2, 2, 2, 2))];
  t.deepEqual(readMessages(Buffer.concat(data), 5), {
    payloads: [Buffer.of(2, 2, 2, 2)],
    isDone: false,
    errno: 0,
  });
  t.deepEqual(readMessages(message(2, 5, errno), 5), { payloads: [], isDone: true, errno: 95 });
  t.deepEqual(readMessages(message(3, 5, Buffer.alloc(4)), 5), {
    payloads: [],
    isDone: true,
    errno: 0,
  });
  t.throws(() => readMessages(Buffer.alloc(16, 0xff), 5), { instanceOf: RangeError });
});

test('a WireGuard device is listed as it was set, also when a peer comes in parts', (t) => {
  const change = (allowed: readonly string[], port?: number): PeerChange => ({
    publicKey: KEY,
    ...(port !== undefined && { endpoint: { address: ip('198.18.0.7'), port } }),
    allowed: allowed.map(ip),
  });
  const payloads = [change(['10.0.1.5'], 4790), change(['fd00::5', '10.0.1.6'])].map((peer) =>
    setDevice({ device: 'swarm-wg', listenPort: 4790, peers: [peer] }),
  );
  t.deepEqual(readDevice(payloads), {
    publicKey: undefined,
    listenPort: 4790,
    peers: [
      {
        publicKey: KEY,
        endpoint: { address: ip('198.18.0.7'), port: 4790 },
        allowed: [ip('10.0.1.5'), ip('fd00::5'), ip('10.0.1.6')],
      },
    ],
  });
});

test('the peer of a WireGuard device has the bytes of linux/wireguard.h', (t) => {
  const bytes = setDevice({
    device: 'w',
    peers: [{ publicKey: KEY, endpoint: { address: ip('198.18.0.7'), port: 4790 } }],
  }).toString('hex');
  const key = '2400' + '0100' + '07'.repeat(32);
  const endpoint = '1400' + '0400' + '0200' + '12b6' + 'c6120007' + '00'.repeat(8);
  t.is(
    bytes,
    '01010000' + '0600' + '0200' + '77000000' + '4000' + '0880' + '3c00' + '0080' + key + endpoint,
  );
});

test('associations and policies of IPsec are listed as they were made', (t) => {
  const common = { from: ip('198.18.0.1'), to: ip('198.18.0.2'), interfaceId: 9 };
  const made = newAssociation({ ...common, spi: 0x80000001, key: new Uint8Array(36) });
  // struct xfrm_usersa_info, then the algorithm, the replay window and the interface.
  t.is(made.length, 224 + (4 + 72 + 36) + (4 + 24 + 128) + 8);
  t.deepEqual(readAssociation(made, 9), { to: ip('198.18.0.2'), spi: 0x80000001 });
  t.is(readAssociation(made, 8), undefined);
  t.is(
    deleteAssociation({ to: ip('198.18.0.2'), spi: 0x80000001 }).toString('hex'),
    'c6120002' + '00'.repeat(12) + '80000001' + '0200' + '3200',
  );
  for (const address of [ip('10.0.1.5'), ip('fd00::5')]) {
    for (const direction of ['out', 'forward'] as const) {
      const policy = putPolicy({ ...common, direction, address });
      t.is(policy.length, 168 + (4 + 64) + 8);
      t.deepEqual(readPolicy(policy, 9), { direction, address, interfaceId: 9 });
    }
  }
});
