import { silentLogger } from '@swarm/api';
import test from 'ava';
import type { EncryptedPeer } from '../src/encryption/encryption-means.js';
import { parseTunnelKey } from '../src/encryption/keys.js';
import { NOBODY } from '../src/encryption/wireguard-plan.js';
import { WireguardMeans } from '../src/encryption/wireguard-means.js';
import type { Kernel } from '../src/kernel/kernel.js';
import type { TunnelKey } from '../src/netlink/wireguard.js';
import { ip, peer } from './support/checked.js';

const key = (byte: number) => parseTunnelKey(Buffer.alloc(32, byte).toString('base64'))!;
const FAMILY = 30;

/** On paper: takes every change. The generic family's number is in its first answer. */
function paper(): Kernel {
  const family = Buffer.alloc(4 + 8);
  family.writeUInt16LE(6, 4);
  family.writeUInt16LE(1, 6);
  family.writeUInt16LE(FAMILY, 8);
  return {
    run: async () => '',
    openNetlink: async () => ({
      request: ({ type }: { type: number }) => (type === FAMILY ? [] : [family]),
      close: () => {},
    }),
  } as unknown as Kernel;
}

async function started() {
  const means = new WireguardMeans({ kernel: paper(), logger: silentLogger, port: 4790 });
  const keys = { publicKey: key(1), privateKey: Buffer.alloc(32) };
  await means.start({ self: peer(1), keys, epoch: 'e', mtuBytes: 1440 });
  return means;
}

function led(index: number, publicKey: TunnelKey): [string, EncryptedPeer] {
  const addresses = new Set([ip(`10.0.1.${index}`)]);
  return [`node${index}`, { peer: peer(index), publicKey, epoch: 'e', addresses }];
}

test('a node that says the key of another one takes nothing from it', async (t) => {
  const means = await started();
  t.deepEqual([...(await means.hold(new Map([led(3, key(9))])))], []);
  const problems = await means.hold(new Map([led(2, key(9)), led(3, key(9))]));
  t.deepEqual([...problems], [['node2', 'it has the key of node node3']]);
  // Once that one has another key, nobody has this one.
  t.deepEqual([...(await means.hold(new Map([led(2, key(9)), led(3, key(8))])))], []);
});

test('a node cannot have the key of this one, nor that of nobody', async (t) => {
  const means = await started();
  const problems = await means.hold(new Map([led(2, key(1)), led(3, NOBODY)]));
  t.deepEqual([...problems.keys()], ['node2', 'node3']);
});
