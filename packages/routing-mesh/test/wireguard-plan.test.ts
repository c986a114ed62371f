import type { IpAddress } from '@swarm/api';
import test from 'ava';
import fc from 'fast-check';
import {
  divideChanges,
  NOBODY,
  type PlannedPeer,
  type PlannedPeers,
  planPeers,
} from '../src/encryption/wireguard-plan.js';
import { parseTunnelKey } from '../src/encryption/keys.js';
import type { PeerChange, TunnelKey } from '../src/netlink/wireguard.js';
import { ip } from './support/checked.js';

const key = (n: number): TunnelKey => parseTunnelKey(Buffer.alloc(32, n).toString('base64'))!;

function peer(node: number, ...addresses: readonly string[]): [TunnelKey, PlannedPeer] {
  const endpoint = { address: ip(`198.18.0.${node}`), port: 4790 };
  return [key(node), { endpoint, allowed: new Set(addresses.map(ip)) }];
}

/** A device that does as the kernel: an address belongs to the peer that got it last. */
function follow(held: PlannedPeers, changes: readonly PeerChange[]): Map<string, Set<IpAddress>> {
  const device = new Map([...held].map(([id, { allowed }]) => [id as string, new Set(allowed)]));
  for (const { publicKey, isRemoved, allowed = [] } of changes) {
    if (isRemoved === true) {
      device.delete(publicKey);
      continue;
    }
    const own = device.get(publicKey) ?? new Set<IpAddress>();
    device.set(publicKey, own);
    for (const address of allowed) {
      for (const other of device.values()) other.delete(address);
      own.add(address);
    }
  }
  return device;
}

test('what is as wanted is left alone', (t) => {
  const held = new Map([peer(1, '10.0.0.1'), peer(2)]);
  t.deepEqual(planPeers(held, new Map(held)), []);
});

test('a member more or less changes one address', (t) => {
  const held = new Map([peer(1, '10.0.0.1', '10.0.0.2')]);
  t.deepEqual(planPeers(held, new Map([peer(1, '10.0.0.1', '10.0.0.2', '10.0.0.3')])), [
    { publicKey: key(1), allowed: [ip('10.0.0.3')] },
  ]);
  t.deepEqual(planPeers(held, new Map([peer(1, '10.0.0.1')])), [
    { publicKey: NOBODY, allowed: [ip('10.0.0.2')] },
    { publicKey: NOBODY, isRemoved: true },
  ]);
});

test('another key of a node takes its addresses before the old one goes, and greets at once', (t) => {
  const [, before] = peer(1, '10.0.0.1');
  t.deepEqual(planPeers(new Map([[key(1), before]]), new Map([[key(9), before]])), [
    { publicKey: key(9), endpoint: before.endpoint!, allowed: [ip('10.0.0.1')] },
    { publicKey: key(9), keepaliveSeconds: 25 },
    { publicKey: key(9), keepaliveSeconds: 0 },
    { publicKey: key(1), isRemoved: true },
  ]);
});

test('whatever a device held, it ends as wanted, and no address is with two peers', (t) => {
  const addresses = fc.uniqueArray(fc.integer({ min: 1, max: 12 }), { maxLength: 12 });
  /** Which node has each address. */
  const state = addresses.chain((list) =>
    fc
      .array(fc.integer({ min: 1, max: 4 }), { minLength: list.length, maxLength: list.length })
      .map((owners) => {
        const peers = new Map<TunnelKey, PlannedPeer>();
        list.forEach((address, i) => {
          const [id, empty] = peer(owners[i]!);
          const { endpoint, allowed } = peers.get(id) ?? empty;
          peers.set(id, { endpoint, allowed: new Set([...allowed, ip(`10.0.0.${address}`)]) });
        });
        return peers;
      }),
  );
  fc.assert(
    fc.property(state, state, (held, wanted) => {
      const device = follow(held, divideChanges(planPeers(held, wanted)).flat());
      const ended = [...device].map(([id, allowed]) => [id, [...allowed].sort()]);
      const goal = [...wanted].map(([id, { allowed }]) => [id, [...allowed].sort()]);
      t.deepEqual(Object.fromEntries(ended), Object.fromEntries(goal));
    }),
  );
});

test('thousands of addresses go in messages that the kernel takes', (t) => {
  const many = Array.from({ length: 5000 }, (_, i) => ip(`10.1.${i >> 8}.${i & 255}`));
  const change: PeerChange = { publicKey: key(1), allowed: many };
  const messages = divideChanges([change, { publicKey: key(2), isRemoved: true }]);
  t.true(messages.length > 5);
  for (const message of messages) {
    const count = message.reduce((sum, { allowed = [] }) => sum + allowed.length, 0);
    t.true(count * 44 < 0xffff);
  }
  t.deepEqual(
    messages.flat().flatMap(({ allowed = [] }) => allowed),
    many,
  );
  t.true(messages.flat().at(-1)!.isRemoved);
});
