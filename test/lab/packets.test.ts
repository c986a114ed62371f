import test from 'ava';
import { readPackets } from './packets.js';

const PORTS = { vxlan: 4789, wireguard: 4790 };

const bytes = (...parts: readonly (string | Buffer)[]): Buffer =>
  Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part, 'hex') : part)));
const ethernet = (type: string, data: Buffer) => bytes('020000000001020000000002', type, data);
const address = (text: string) => Buffer.from(text.split('.').map(Number));

function v4(from: string, to: string, protocol: string, data: Buffer): Buffer {
  const head = bytes('450000000000000040', protocol, '0000', address(from), address(to));
  return ethernet('0800', bytes(head, data));
}

function udp(port: number, data: Buffer): Buffer {
  const head = Buffer.alloc(8);
  head.writeUInt16BE(1234, 0);
  head.writeUInt16BE(port, 2);
  return bytes(head, data);
}

function capture(...frames: readonly Buffer[]): Buffer {
  const parts = frames.map((frame) => {
    const head = Buffer.alloc(16);
    head.writeUInt32LE(frame.length, 8);
    head.writeUInt32LE(frame.length, 12);
    return bytes(head, frame);
  });
  return bytes(Buffer.alloc(24), ...parts);
}

const read = (frame: Buffer) => {
  const [packet] = readPackets(capture(frame), PORTS);
  return { addresses: packet!.addresses, isSealed: packet!.isSealed };
};

test('headers are read, those within the tunnel too', (t) => {
  const inner = v4('10.0.9.3', '10.0.9.4', '06', Buffer.from('hello'));
  const outer = v4('198.18.0.1', '198.18.0.2', '11', udp(4789, bytes('0800000000100000', inner)));
  t.deepEqual(read(outer), {
    addresses: ['198.18.0.1', '198.18.0.2', '10.0.9.3', '10.0.9.4'],
    isSealed: false,
  });
});

test('WireGuard and ESP are known, and hide what is within', (t) => {
  const nodes = ['198.18.0.1', '198.18.0.2'] as const;
  const sealed = { addresses: [...nodes], isSealed: true };
  t.deepEqual(read(v4(...nodes, '11', udp(4790, Buffer.alloc(60)))), sealed);
  t.deepEqual(read(v4(...nodes, '32', Buffer.alloc(60))), sealed);
});

test('IPv6 and questions for neighbours show addresses', (t) => {
  const from = 'fd000009000000000000000000000003';
  const to = 'fd000009000000000000000000000004';
  t.deepEqual(read(ethernet('86dd', bytes('6000000000003a40', from, to))).addresses, [
    'fd00:0009:0000:0000:0000:0000:0000:0003',
    'fd00:0009:0000:0000:0000:0000:0000:0004',
  ]);
  const arp = bytes('0001080006040001', '020000000002', address('198.18.0.1'), '000000000000');
  t.deepEqual(read(ethernet('0806', bytes(arp, address('10.0.9.4')))).addresses, [
    '198.18.0.1',
    '10.0.9.4',
  ]);
});

test('packets that are cut short are read as far as they go', (t) => {
  const whole = capture(v4('10.0.9.3', '10.0.9.4', '11', udp(4789, Buffer.alloc(8))));
  for (let length = 0; length <= whole.length; length++) {
    t.true(readPackets(whole.subarray(0, length), PORTS).length <= 1);
  }
});
