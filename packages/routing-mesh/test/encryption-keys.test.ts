import { generateKeyPairSync } from 'node:crypto';
import test from 'ava';
import { agree, directionKey, parseTunnelKey, type TunnelKeyPair } from '../src/encryption/keys.js';

function makeKeys(): TunnelKeyPair {
  const { x, d } = generateKeyPairSync('x25519').privateKey.export({ format: 'jwk' });
  return {
    publicKey: parseTunnelKey(Buffer.from(x!, 'base64url').toString('base64'))!,
    privateKey: Buffer.from(d!, 'base64url'),
  };
}

const [one, two, three] = [makeKeys(), makeKeys(), makeKeys()];

test('both ends of a pair compute the same keys, one for each direction', (t) => {
  const ends = [one, two].map(({ publicKey }, i) => ({ publicKey, epoch: `e${i}` })) as [
    { publicKey: typeof one.publicKey; epoch: string },
    { publicKey: typeof one.publicKey; epoch: string },
  ];
  const there = directionKey(agree(one, two.publicKey), ends[0], ends[1]);
  const back = directionKey(agree(one, two.publicKey), ends[1], ends[0]);
  t.deepEqual(directionKey(agree(two, one.publicKey), ends[0], ends[1]), there);
  t.notDeepEqual(there.key, back.key);
  t.not(there.spi, back.spi);
  t.is(there.key.length, 36);
  t.true(there.spi >= 0x8000_0000);
  t.notDeepEqual(agree(three, two.publicKey), agree(one, two.publicKey));
});

test('the epoch of either end makes another key', (t) => {
  const secret = agree(one, two.publicKey);
  const key = (from: string, to: string): string =>
    directionKey(
      secret,
      { publicKey: one.publicKey, epoch: from },
      { publicKey: two.publicKey, epoch: to },
    ).key.toString('hex');
  // The last would be like the first, were names only put together.
  const keys = [key('a', 'b'), key('c', 'b'), key('a', 'c'), key('a,1:b', ''), key('', 'a,1:b')];
  t.is(new Set(keys).size, keys.length);
});

test('only 32 bytes in base64 are a key', (t) => {
  t.is(parseTunnelKey(one.publicKey), one.publicKey);
  const zero = Buffer.alloc(32).toString('base64');
  const others = [zero, '', 'x', one.publicKey.slice(1), `${one.publicKey}=`, 5, undefined];
  for (const other of others) t.is(parseTunnelKey(other), undefined);
  t.is(parseTunnelKey(one.publicKey.replace(/.=$/, '*=')), undefined);
});

test('a key that nobody can have made is refused', (t) => {
  // A point of small order (RFC 7748, section 6.1): what it agrees on, everybody knows.
  const point = Buffer.alloc(32);
  point[0] = 1;
  t.throws(() => agree(one, parseTunnelKey(point.toString('base64'))!));
});
