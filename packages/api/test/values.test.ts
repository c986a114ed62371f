import test from 'ava';
import fc from 'fast-check';
import {
  formatHostPort,
  isHostAddress,
  isObjectId,
  isTimestamp,
  networkOf,
  parseCidr,
  parseHostPort,
  parseIpAddress,
  showControls,
} from '../src/index.js';

test('an address is read in one spelling only', (t) => {
  t.is(parseIpAddress('198.18.0.1'), '198.18.0.1' as never);
  t.is(parseIpAddress('FD00:0:0::1'), 'fd00::1' as never);
  t.is(parseIpAddress('::ffff:198.18.0.1'), '198.18.0.1' as never);
});

test('text that is not an address is refused', (t) => {
  for (const text of [
    '',
    ' 198.18.0.1',
    '198.18.0.1\n',
    '198.18.0.1\nlink del eth0',
    '198.18.1',
    '0x7f.0.0.1',
    '017.0.0.1',
    '3232235777',
    '198.18.0.256',
    'fe80::1%eth0',
    '[::1]',
    '198.18.0.1/24',
    '::ffff:999.1.1.1',
    7,
    null,
    undefined,
    {},
    ['198.18.0.1'],
    '1'.repeat(1000),
  ])
    t.is(parseIpAddress(text), undefined, JSON.stringify(text));
});

test('an address that is read is a single word', (t) => {
  fc.assert(
    fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.ipV4(), fc.ipV6()), (text) => {
      const address = parseIpAddress(text);
      return address === undefined || /^[0-9a-f.:]+$/.test(address);
    }),
  );
  t.pass();
});

test('an address that no other host can send to is not a host address', (t) => {
  for (const text of [
    '0.0.0.0',
    '0.1.2.3',
    '255.255.255.255',
    '224.0.0.1',
    '169.254.169.254',
    '::',
    'ff02::1',
    'fe80::1',
  ])
    t.false(isHostAddress(parseIpAddress(text)!), text);
  for (const text of ['198.18.0.1', '127.0.0.1', '10.0.0.1', 'fd00::1', '2001:db8::1'])
    t.true(isHostAddress(parseIpAddress(text)!), text);
});

test('addresses of one network give the same network', (t) => {
  const network = (text: string, bits: number) => networkOf(parseIpAddress(text)!, bits);
  t.is(network('198.18.3.255', 24), '198.18.3.0/24');
  t.is(network('198.18.3.255', 30), '198.18.3.252/30');
  t.is(network('198.18.3.255', 32), '198.18.3.255/32');
  t.is(network('198.18.3.255', 0), '0.0.0.0/0');
  t.is(network('fd00:1:2:3:4:5:6:7', 64), 'fd00:1:2:3::/64');
  t.is(network('fd00:1:2:3:4:5:6:7', 48), 'fd00:1:2::/48');
  t.throws(() => network('198.18.3.255', 33), { instanceOf: RangeError });
});

test('host and port are read together', (t) => {
  t.deepEqual(parseHostPort('198.18.0.1:2377'), { host: '198.18.0.1', port: 2377 });
  t.deepEqual(parseHostPort('[fd00::1]:2377'), { host: 'fd00::1', port: 2377 });
  t.deepEqual(parseHostPort('manager-1.example:2377'), { host: 'manager-1.example', port: 2377 });
  for (const text of [
    '198.18.0.1',
    ':1',
    'a:0',
    'a:65536',
    '[x]:1',
    '[198.18.0.1]:1',
    '1.2.3:1',
    'a b:1',
    'a\n:1',
    'a:1\n',
    'fd00::1:2377',
    'a..b:1',
    '-a:1',
  ])
    t.is(parseHostPort(text), undefined, text);
  t.is(formatHostPort({ host: 'fd00::1', port: 1 }), '[fd00::1]:1');
});

test('an id is safe in a path', (t) => {
  t.true(isObjectId('0123456789abcdefghijklmno'));
  for (const text of ['', '.', '..', 'a/b', 'a b', 'a\n', '-a', 'a'.repeat(65), '__proto__', 5])
    t.false(isObjectId(text), String(text));
});

test('a time is RFC 3339', (t) => {
  t.true(isTimestamp('2026-11-23T17:06:33.626290978Z'));
  t.true(isTimestamp('2026-11-23T17:06:33+01:00'));
  for (const text of [
    '',
    '2026',
    '2026-13-01T00:00:00Z',
    '2026-11-23 17:06:33Z',
    '+099999-01-01T00:00:00Z',
    'Mon',
    5,
  ])
    t.false(isTimestamp(text), String(text));
});

test('control characters are shown', (t) => {
  t.is(showControls('\x1b[31mred\u202e\n'), '\\x1b[31mred\\u202e\\x0a');
  t.is(showControls('a\tb\n', '\n\t'), 'a\tb\n');
  t.is(showControls('Grüße, 世界 🎉'), 'Grüße, 世界 🎉');
});

test('an address with prefix length is read in one spelling', (t) => {
  t.deepEqual(parseCidr('10.240.3.0/24'), { address: '10.240.3.0' as never, prefixLength: 24 });
  t.deepEqual(parseCidr('FD00::0/64'), { address: 'fd00::' as never, prefixLength: 64 });
  for (const text of [
    '',
    '10.0.0.1',
    '10.0.0.1/',
    '10.0.0.1/33',
    '10.0.0.1/1/1',
    '/8',
    'a/8',
    '::/129',
    '10.0.0.1/-1',
    '10.0.0.1/8\n',
    8,
    null,
  ])
    t.is(parseCidr(text), undefined, String(text));
});

test('a timestamp has days and hours of the calendar', (t) => {
  for (const text of [
    '2026-02-28T23:59:59Z',
    '2024-02-29T00:00:00Z',
    '2000-02-29T00:00:00.5+14:00',
  ])
    t.true(isTimestamp(text), text);
  for (const text of [
    '2026-02-29T00:00:00Z',
    '1900-02-29T00:00:00Z',
    '2026-04-31T00:00:00Z',
    '2026-00-10T00:00:00Z',
    '2026-13-10T00:00:00Z',
    '2026-01-00T00:00:00Z',
    '2026-01-10T24:00:00Z',
    '2026-01-10T00:60:00Z',
    '2026-01-10T00:00:60Z',
    '2026-01-10T00:00:00+24:00',
    '2026-01-10T00:00:00+00:60',
  ])
    t.false(isTimestamp(text), text);
  const any = fc.date({ min: new Date(0), max: new Date(4e12), noInvalidDate: true });
  fc.assert(fc.property(any, (date) => t.true(isTimestamp(date.toISOString()))));
});

test('every IPv4 address is read, and only in its canonical spelling', (t) => {
  fc.assert(fc.property(fc.ipV4(), (text) => t.is(parseIpAddress(text), text as never)));
  for (const text of [
    '1.2.3.4.',
    '1.2.3',
    '1.2.3.4.5',
    '1..2.3',
    '256.1.1.1',
    '1.2.3.4\n',
    '1.2.3.04',
  ])
    t.is(parseIpAddress(text), undefined, text);
});
