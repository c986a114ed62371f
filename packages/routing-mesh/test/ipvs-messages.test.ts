import test from 'ava';
import fc from 'fast-check';
import { attribute, nested, text, u16, u32 } from '../src/netlink/attributes.js';
import { genericPayload } from '../src/netlink/generic.js';
import {
  deleteDestination,
  deleteService,
  listServices,
  newDestination,
  newService,
  readDestinations,
  readServices,
  readTimeouts,
  setTimeouts,
} from '../src/netlink/ipvs.js';
import { ip } from './support/checked.js';

const service = { version: 4, mark: 0x41f90 } as const;
const KEY = '0600' + '0100' + '02000000' + '0800' + '0500' + '901f0400';

test('a service has the bytes of linux/ip_vs.h', (t) => {
  t.is(deleteService(service).toString('hex'), '03010000' + '1400' + '0180' + KEY);
  const flags = '0c00' + '0700' + '00000000' + 'ffffffff';
  const rest = '0800' + '0800' + '00000000' + '0800' + '0900' + 'ffffffff';
  t.is(
    newService(service, 'wrr').toString('hex'),
    '01010000' + '3800' + '0180' + KEY + '0800' + '0600' + '77727200' + flags + rest,
  );
  const v6 = newService({ ...service, version: 6 }, 'mh').toString('hex');
  t.true(v6.includes('0600' + '0100' + '0a000000'));
  t.true(v6.endsWith('0800' + '0900' + '80000000'), 'the length of a prefix instead of a mask');
  t.is(listServices().toString('hex'), '04010000');
});

test('a destination has its address in 16 bytes and its port in network order', (t) => {
  const address = ip('10.240.2.7');
  const place = '1400' + '0100' + '0af00207' + '00'.repeat(12) + '0600' + '0200' + '00500000';
  t.is(
    deleteDestination(service, { address, port: 80 }).toString('hex'),
    '07010000' + '1400' + '0180' + KEY + '2000' + '0280' + place,
  );
  const number = (type: string, value: string) => '0800' + type + value;
  const rest =
    number('0300', '00000000') +
    number('0400', '0a000000') +
    number('0500', '00000000') +
    number('0600', '00000000');
  t.is(
    newDestination(service, { address, port: 80, weight: 10 }).toString('hex'),
    '05010000' + '1400' + '0180' + KEY + '4000' + '0280' + place + rest,
  );
});

test('limits are read as they were set', (t) => {
  const limits = { tcp: 432_000, tcpFin: 120, udp: 300 };
  t.deepEqual(readTimeouts([setTimeouts(limits)]), limits);
  t.is(readTimeouts([]), undefined);
  t.is(readTimeouts([genericPayload(13, 1, [u32(4, 1), u32(5, 1)])]), undefined);
});

test('services known by an address are nobody’s business, and so are malformed ones', (t) => {
  const listed = (...attributes: Buffer[]) => genericPayload(1, 1, [nested(1, attributes)]);
  t.deepEqual(
    readServices([
      newService(service, 'mh'),
      listed(u16(1, 2), u16(2, 6), attribute(3, Buffer.alloc(16)), u16(4, 80), text(6, 'rr')),
      listed(u16(1, 10), u32(5, 7), text(6, 'sh')),
      listed(u16(1, 99), u32(5, 7), text(6, 'sh')),
      listed(u16(1, 2), u16(5, 7), text(6, 'sh')),
      listed(u16(1, 2), u32(5, 7)),
      genericPayload(1, 1, []),
    ]),
    [
      { ...service, scheduler: 'mh' },
      { version: 6, mark: 7, scheduler: 'sh' },
    ],
  );
});

test('destinations are read with their connections; others’ kinds are skipped', (t) => {
  const listed = (address: Buffer, port: Buffer, ...more: Buffer[]) =>
    genericPayload(5, 1, [nested(2, [attribute(1, address), attribute(2, port), ...more])]);
  const address = Buffer.concat([Buffer.of(10, 240, 2, 7), Buffer.alloc(12)]);
  const port = Buffer.of(0, 80);
  const counts = [u32(7, 2), u32(8, 3), u32(9, 4)];
  t.deepEqual(
    readDestinations(
      [
        listed(address, port, u32(3, 0), u32(4, 5), ...counts),
        listed(address, port, u32(4, 0)),
        // Tunnelled, without a weight, without a port, and with an address of another size.
        listed(address, port, u32(3, 2), u32(4, 5)),
        listed(address, port, u32(3, 0)),
        listed(address, Buffer.of(0, 0), u32(4, 5)),
        listed(address, Buffer.of(80), u32(4, 5)),
        listed(Buffer.of(10, 240, 2, 7), port, u32(4, 5)),
      ],
      4,
    ),
    [
      { address: ip('10.240.2.7'), port: 80, weight: 5, connections: 9 },
      { address: ip('10.240.2.7'), port: 80, weight: 0, connections: 0 },
    ],
  );
  const v6 = newDestination(
    { version: 6, mark: 7 },
    { address: ip('fd73:7761:726d::af0:207'), port: 80, weight: 1 },
  );
  const inAnswer = genericPayload(5, 1, [v6.subarray(4 + 20)]);
  t.deepEqual(readDestinations([inAnswer], 6), [
    { address: ip('fd73:7761:726d::af0:207'), port: 80, weight: 1, connections: 0 },
  ]);
});

test('whatever is read, the answer is of known shape, or an error of netlink', (t) => {
  const attempt = (read: () => unknown): void => {
    try {
      read();
    } catch (error) {
      t.true(error instanceof RangeError, String(error));
    }
  };
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      const payload = Buffer.from(bytes);
      attempt(() => readServices([payload]));
      attempt(() => readDestinations([payload], 4));
      attempt(() => readDestinations([payload], 6));
      attempt(() => readTimeouts([payload]));
    }),
  );
  t.pass();
});
