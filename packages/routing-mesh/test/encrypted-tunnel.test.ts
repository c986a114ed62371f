import { silentLogger, Subnet } from '@swarm/api';
import test from 'ava';
import type { CheckedOverlay, CheckedPeer } from '../src/checked.js';
import { EncryptedTunnel } from '../src/encryption/encrypted-tunnel.js';
import type { EncryptedPeer } from '../src/encryption/encryption-means.js';
import { parseTunnelKey } from '../src/encryption/keys.js';
import { IPSEC_DEVICE, parseNetworkId, parseTaskId } from '../src/layout.js';
import type { FoundLink } from '../src/links/task-links.js';
import type { NetworkView } from '../src/overlay/network-view.js';
import type { OverlaySlice } from '../src/overlay/overlay-networks.js';
import { ip, peer } from './support/checked.js';

const key = (byte: number) => parseTunnelKey(Buffer.alloc(32, byte).toString('base64'))!;
const [task1, task2] = [parseTaskId('task1')!, parseTaskId('task2')!];

function overlay(name: string, subnet: string, isEncrypted = true): CheckedOverlay {
  return {
    networkId: parseNetworkId(name)!,
    name,
    subnets: [Subnet.parse(subnet)!],
    isInternal: false,
    isEncrypted,
    mtuBytes: undefined,
  };
}
const [one, two] = [overlay('one', '10.0.1.0/24'), overlay('two', '10.0.2.0/24')];
const open = overlay('open', '10.0.3.0/24', false);

function sealedPeer(index: number): CheckedPeer {
  const encryption = { publicKey: key(index), epoch: `e${index}`, means: ['ipsec'] };
  return { ...peer(index), encryption };
}
const peers = new Map([1, 2, 3].map((index) => [`node${index}`, sealedPeer(index)]));

/** A network with tasks on other nodes: node and address of each. */
function view(of: CheckedOverlay, ...members: readonly [number, string][]): NetworkView {
  return {
    overlay: of,
    services: new Map(),
    members: new Map(
      members.map(([index, address], at) => [
        parseTaskId(`other${at}`)!,
        { member: {} as never, addresses: [ip(address)], peer: peers.get(`node${index}`) },
      ]),
    ),
  };
}

function slice(...views: readonly NetworkView[]): OverlaySlice {
  const networks = new Map(views.map((one) => [one.overlay.networkId, one]));
  return { peers, networks, touched: undefined };
}

/** On paper: what the wall guards, and who may have what. */
async function started(before: readonly string[] = []) {
  let guarded: readonly string[] | undefined;
  let held: ReadonlyMap<string, EncryptedPeer> = new Map();
  const tunnel = new EncryptedTunnel({
    means: [
      {
        name: 'ipsec',
        device: IPSEC_DEVICE,
        needsEpoch: false,
        probe: async () => undefined,
        earlierEpoch: async () => undefined,
        start: async () => {},
        hold: async (wanted) => {
          held = wanted;
          return new Map();
        },
        check: async () => 'whole',
        close: async () => {},
      },
    ],
    wall: {
      guard: async (subnets) => {
        guarded = subnets.map(String);
      },
      look: async () => before.map((text) => Subnet.parse(text)!),
      repair: async () => false,
      close: async () => {},
    },
    keys: { publicKey: key(1), privateKey: Buffer.alloc(32) },
    epoch: 'e',
    newEpoch: () => 'f',
    logger: silentLogger,
  });
  await tunnel.start(sealedPeer(1), 1450);
  return {
    tunnel,
    guarded: () => guarded,
    held: (nodeId: string) => [...(held.get(nodeId)?.addresses ?? [])].map(String),
  };
}

test('a network stays guarded while a task has a link to it, whatever the state says', async (t) => {
  const { tunnel, guarded } = await started();
  await tunnel.cover(task1, [one, open]);
  t.deepEqual(guarded(), ['10.0.1.0/24']);
  await tunnel.cover(task2, [one, two]);
  await tunnel.reach(slice(view(one), view(two), view(open)));
  t.deepEqual(guarded(), ['10.0.1.0/24', '10.0.2.0/24']);
  await tunnel.reach(slice());
  t.deepEqual(guarded(), ['10.0.1.0/24', '10.0.2.0/24']);
  await tunnel.uncover([task2]);
  t.deepEqual(guarded(), ['10.0.1.0/24']);
  await tunnel.cover(task1, [open]);
  t.deepEqual(guarded(), []);
});

test('what an earlier process guarded for tasks that run stays guarded', async (t) => {
  const { tunnel, guarded } = await started(['10.0.1.0/24', '10.0.2.0/24', '10.0.4.0/24']);
  const link = (taskId: typeof task1, address: string, isEncrypted: boolean): FoundLink => ({
    taskId,
    networkId: undefined,
    place: 0,
    traits: { isInternal: false, isEncrypted },
    addresses: [ip(address)],
  });
  await tunnel.adopt([link(task1, '10.0.1.7', true), link(task2, '10.0.2.7', false)]);
  await tunnel.reach(slice());
  t.deepEqual(guarded(), ['10.0.1.0/24']);
  await tunnel.uncover([task1]);
  t.deepEqual(guarded(), []);
});

test('an address that two nodes claim stays with the one that had it', async (t) => {
  const { tunnel, held } = await started();
  await tunnel.reach(slice(view(one, [3, '10.0.1.7'])));
  t.deepEqual(held('node3'), ['10.0.1.7']);
  await tunnel.reach(slice(view(one, [2, '10.0.1.7'], [3, '10.0.1.7'])));
  t.deepEqual(held('node3'), ['10.0.1.7']);
  t.deepEqual(held('node2'), []);
  await tunnel.reach(slice(view(one, [2, '10.0.1.7'])));
  t.deepEqual(held('node2'), ['10.0.1.7']);
  t.deepEqual(held('node3'), []);
});

test('no node may have an address outside of the network, nor has this one a way to itself', async (t) => {
  const { tunnel, held } = await started();
  const claims = view(one, [2, '10.0.2.7'], [2, '198.18.0.3'], [2, '10.0.1.8'], [1, '10.0.1.9']);
  await tunnel.reach(slice(claims));
  t.deepEqual(held('node2'), ['10.0.1.8']);
  t.deepEqual(held('node1'), []);
});
