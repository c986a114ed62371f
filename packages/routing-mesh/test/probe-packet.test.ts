import test from 'ava';
import { packProbe, PROBE_PACKET_BYTES, probeId, readProbe } from '../src/paths/probe-packet.js';

const MTU = 1450;
const ID = probeId(Math.random);

test('a packet is read as it was written', (t) => {
  for (const kind of ['small', 'full', 'answer'] as const) {
    const packet = { kind, from: 4095, to: 1, id: ID };
    t.deepEqual(readProbe(packProbe(packet, MTU)), packet);
  }
});

test('one of full size fills the tunnel, an answer is as small as the smallest request', (t) => {
  const bytes = (kind: 'small' | 'full' | 'answer') =>
    packProbe({ kind, from: 1, to: 2, id: ID }, MTU).byteLength;
  t.is(bytes('full'), MTU - 28);
  t.is(bytes('small'), PROBE_PACKET_BYTES);
  t.is(bytes('answer'), PROBE_PACKET_BYTES);
});

test('what is no probe of this version is not read', (t) => {
  const good = packProbe({ kind: 'small', from: 1, to: 2, id: ID }, MTU);
  t.is(readProbe(good.subarray(0, 23)), undefined);
  for (const [at, value] of [
    [0, 0],
    [4, 2],
    [5, 3],
  ] as const) {
    const bad = Uint8Array.from(good);
    bad[at] = value;
    t.is(readProbe(bad), undefined, `byte ${at}`);
  }
});
