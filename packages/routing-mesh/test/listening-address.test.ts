import test from 'ava';
import { dialledAddress, ipv4Address } from '../src/balancer/listening-address.js';
import { ip } from './support/checked.js';

test('host ports lead to the first IPv4 address, on whichever network it is', (t) => {
  const addresses = [ip('fd00::2'), ip('10.9.0.2'), ip('10.240.1.2')];
  t.is<string | undefined, string>(ipv4Address(addresses), '10.9.0.2');
  t.is(dialledAddress(addresses), ip('10.9.0.2'));
});

test('a task with IPv6 only is dialled there, and has no address to translate to', (t) => {
  t.is(ipv4Address([ip('fd00::2')]), undefined);
  t.is(dialledAddress([ip('fd00::2'), ip('fd00::3')]), ip('fd00::2'));
  t.is(dialledAddress([]), undefined);
});
