import test from 'ava';
import { allowSource, checkAllow, decodeServiceSpec, storedServiceSpec } from '../src/index.js';

test('a source is everybody, a network, or a service', (t) => {
  t.is(allowSource('any')?.kind, 'any');
  t.is(allowSource('web_1.api')?.kind, 'service');
  t.like(allowSource('203.0.113.0/24'), { kind: 'network' });
  const address = allowSource('203.0.113.7');
  t.is(address?.kind === 'network' && address.subnet.toString(), '203.0.113.7/32');
  const v6 = allowSource('fd00::1');
  t.is(v6?.kind === 'network' && v6.subnet.toString(), 'fd00::1/128');
  for (const text of ['', '-x', '203.0.113.7/24', 'fd00::1/8', 'a/b', 'a b', 'x'.repeat(200)])
    t.is(allowSource(text), undefined, text);
});

test('rules with a bad source or port, or too many, are refused and named', (t) => {
  t.notThrows(() => checkAllow(undefined));
  t.notThrows(() => checkAllow([]));
  t.throws(() => checkAllow([{ From: 'a b' }]), {
    message: /^EndpointSpec\.Allow: "a b" is neither/,
  });
  const port = { Protocol: 'tcp' as const, Port: 0 };
  t.throws(() => checkAllow([{ From: 'web', Ports: [port] }]), {
    message: /not within 1 to 65535/,
  });
  const many = Array.from({ length: 300 }, (_, i) => ({ From: `s${i}` }));
  t.throws(() => checkAllow(many), { message: /at most 256/ });
});

test('no rules at all, and an empty list of them, are two things', (t) => {
  const stored = (EndpointSpec: object) =>
    storedServiceSpec(
      decodeServiceSpec({ TaskTemplate: { ContainerSpec: { Image: 'x' } }, EndpointSpec }),
      'web',
    ).EndpointSpec?.Allow;
  t.is(stored({}), undefined);
  t.deepEqual(stored({ Allow: [] }), []);
  t.is(stored({ Allow: [{ From: 'any' }, { From: 'web' }] }), undefined, 'everybody, everywhere');
  t.deepEqual(stored({ Allow: [{ From: 'web', Ports: [{ Port: 80 }] }] }), [
    { From: 'web', Ports: [{ Protocol: 'tcp', Port: 80 }] },
  ]);
});
