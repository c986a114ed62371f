import { generateKeyPairSync } from 'node:crypto';
import { silentLogger } from '@swarm/api';
import { VirtualClock } from '@swarm/sim';
import test from 'ava';
import type { EncryptedPeer } from '../src/encryption/encryption-means.js';
import { IpsecMeans } from '../src/encryption/ipsec-means.js';
import { parseTunnelKey, type TunnelKeyPair } from '../src/encryption/keys.js';
import type { Kernel } from '../src/kernel/kernel.js';
import { ESRCH, NetlinkError } from '../src/kernel/netlink.js';
import { IPSEC_DEVICE, IPSEC_INTERFACE_ID } from '../src/layout.js';
import { readAssociation, readPolicy, XFRM } from '../src/netlink/xfrm.js';
import { ip, peer } from './support/checked.js';

function makeKeys(): TunnelKeyPair {
  const { x, d } = generateKeyPairSync('x25519').privateKey.export({ format: 'jwk' });
  const publicKey = parseTunnelKey(Buffer.from(x!, 'base64url').toString('base64'))!;
  return { publicKey, privateKey: Buffer.from(d!, 'base64url') };
}

/** On paper: keeps associations, policies and the device's alias, and remembers each association ever made. */
class PaperXfrm {
  readonly associations = new Map<string, Buffer>();
  readonly made: string[] = [];
  readonly #policies = new Map<string, Buffer>();
  alias: string | undefined;
  hasDevice = false;

  get kernel(): Kernel {
    return {
      run: async (_program: string, args: readonly string[], input = '') => {
        if (args[0] === '-batch') {
          if (input.includes('link add')) this.hasDevice = true;
          this.alias = /alias (\S+)/.exec(input)?.[1] ?? this.alias;
          return '';
        }
        return JSON.stringify(
          this.hasDevice ? [{ ifname: IPSEC_DEVICE, ifalias: this.alias }] : [],
        );
      },
      openNetlink: async () => ({
        request: ({ type, payload }: { type: number; payload: Buffer }) =>
          this.#take(type, payload),
        close: () => {},
      }),
    } as unknown as Kernel;
  }

  #take(type: number, payload: Buffer): Buffer[] {
    if (type === XFRM.newAssociation) {
      const { to, spi } = readAssociation(payload, IPSEC_INTERFACE_ID)!;
      this.associations.set(`${to} ${spi}`, payload);
      this.made.push(`${to} ${spi}`);
    }
    if (type === XFRM.deleteAssociation) {
      const key = `${payload.subarray(0, 4).join('.')} ${payload.readUInt32BE(16)}`;
      if (!this.associations.delete(key)) throw new NetlinkError('delete', ESRCH, 'none');
    }
    if (type === XFRM.putPolicy) {
      const { direction, address } = readPolicy(payload, IPSEC_INTERFACE_ID)!;
      this.#policies.set(`${direction} ${address}`, payload);
    }
    if (type === XFRM.listPolicies) return [...this.#policies.values()];
    return type === XFRM.listAssociations ? [...this.associations.values()] : [];
  }
}

const [own, other] = [makeKeys(), makeKeys()];
const self = peer(1);

function led(epoch: string, keys = other, index = 2): [string, EncryptedPeer] {
  const addresses = new Set([ip(`10.0.1.${index}`)]);
  return [`node${index}`, { peer: peer(index), publicKey: keys.publicKey, epoch, addresses }];
}

async function start(paper: PaperXfrm, keys = own, newEpoch = 'new') {
  const clock = new VirtualClock();
  const means = new IpsecMeans({ kernel: paper.kernel, logger: silentLogger, clock });
  const epoch = (await means.earlierEpoch(keys)) ?? newEpoch;
  await means.start({ self, keys, epoch, mtuBytes: 1440 });
  const hold = (...peers: [string, EncryptedPeer][]) =>
    means.hold(new Map(peers), new Set(['node2', 'node3']));
  return { means, epoch, hold, clock };
}

test('a daemon that restarts goes on with the keys that the kernel has', async (t) => {
  const paper = new PaperXfrm();
  const first = await start(paper, own, 'first');
  await first.hold(led('b1'));
  const before = [...paper.associations.keys()];
  t.is(before.length, 2);
  const second = await start(paper);
  t.is(second.epoch, 'first');
  t.is((await second.hold(led('b1'))).size, 0);
  t.false(second.means.needsEpoch);
  await second.clock.advance(120_000);
  t.is(await second.means.check(), 'whole');
  t.deepEqual([...paper.associations.keys()], before);
  t.is(paper.made.length, 2, 'none was made anew');
  // The other one’s next epoch is new, so nothing has been counted in this pair.
  t.is((await second.hold(led('b2'))).size, 0);
  t.is(paper.made.length, 4);
});

test('what the kernel does not have any more begins another epoch', async (t) => {
  const paper = new PaperXfrm();
  await (await start(paper, own, 'first')).hold(led('b1'));
  paper.associations.delete([...paper.associations.keys()][0]!);
  const next = await start(paper);
  const problems = await next.hold(led('b1'));
  t.true(next.means.needsEpoch);
  t.regex(problems.get('node2')!, /new keys/);
  t.is(paper.made.length, 2, 'no key counts from its start again');
  await next.means.start({ self, keys: own, epoch: 'second', mtuBytes: 1440 });
  t.is((await next.hold(led('b1'))).size, 0);
  t.false(next.means.needsEpoch);
  t.is(new Set(paper.made).size, 4);
});

test('a node that the earlier process may have known needs another epoch, too', async (t) => {
  const paper = new PaperXfrm();
  await (await start(paper, own, 'first')).hold(led('b1'));
  const next = await start(paper);
  const problems = await next.hold(led('b1'), led('c1', makeKeys(), 3));
  t.deepEqual([...problems.keys()], ['node3']);
  t.true(next.means.needsEpoch);
});

test('another key, or another device, has an epoch of its own', async (t) => {
  const paper = new PaperXfrm();
  await (await start(paper, own, 'first')).hold(led('b1'));
  t.is((await start(paper, makeKeys(), 'other')).epoch, 'other');
  t.is((await start(new PaperXfrm(), own, 'booted')).epoch, 'booted');
});

test('a node that moves to another address makes another epoch: its key has counted', async (t) => {
  const paper = new PaperXfrm();
  const { means, hold } = await start(paper);
  await hold(led('b1'));
  const [nodeId, moved] = led('b1');
  await hold([nodeId, { ...moved, peer: { ...peer(2), address: ip('198.18.0.77') } }]);
  t.true(means.needsEpoch);
  t.is(paper.made.length, 2);
});

test('a node that changes its epoch all the time leaves little behind', async (t) => {
  const paper = new PaperXfrm();
  const { hold } = await start(paper);
  for (let i = 0; i < 50; i++) await hold(led(`b${i}`));
  t.is(paper.associations.size, 4, 'two that count, and two of before');
});

test('what was agreed on with a node that left is over at once', async (t) => {
  const paper = new PaperXfrm();
  const { means, hold } = await start(paper);
  await hold(led('b1'));
  await hold(led('b2'));
  t.is(paper.associations.size, 3);
  await means.hold(new Map(), new Set());
  t.is(paper.associations.size, 0);
});
