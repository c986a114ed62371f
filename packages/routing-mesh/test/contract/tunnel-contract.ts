import type { MeshPeer } from '@swarm/api';
import test, { type ExecutionContext } from 'ava';
import { rawPeer } from '../support/checked.js';

/** The tunnel of one node, and its host: a process in a namespace, or a kernel on paper. */
export interface TunnelHost {
  /** Makes another tunnel that knows nothing, as the node's next process does. The host keeps what it has. */
  succeed(): Promise<void>;
  mtuBytes(): Promise<number>;
  start(self: MeshPeer): Promise<void>;
  /** @returns ids of the peers that are left out */
  reach(peers: readonly MeshPeer[]): Promise<readonly string[]>;
  prune(peers: readonly MeshPeer[]): Promise<void>;
  isRetryDue(): Promise<boolean>;
  repair(): Promise<boolean>;
  closeTunnel(): Promise<void>;
  /**
   * Blocks that the host sends through the tunnel. Undefined if the nodes of this mesh reach each other's
   * tasks without one, so that there is nothing on the host.
   */
  blocks(): Promise<readonly string[] | undefined>;
  /** Removes the way to a block, as another program may do. */
  breakWay(block: string): Promise<void>;
}

const [self, two, three, four] = [rawPeer(1), rawPeer(2), rawPeer(3), rawPeer(4)];

/**
 * What every Tunnel must do, whatever it is made of. Registers tests.
 * @param open gives a host of node 1 with a new tunnel, and with nothing of an earlier one
 */
export function tunnelContract(name: string, open: () => Promise<TunnelHost>): void {
  const serial = (
    text: string,
    body: (t: ExecutionContext, host: TunnelHost, leads: Leads) => Promise<void>,
  ) =>
    test.serial(`${name}: ${text}`, async (t) => {
      const host = await open();
      try {
        await body(t, host, (peers, message) => leadsTo(t, host, peers, message));
      } finally {
        await host.closeTunnel();
      }
    });

  serial('the packet size is known once it is started', async (t, host) => {
    t.is(await host.mtuBytes(), 0);
    await host.start(self);
    const mtuBytes = await host.mtuBytes();
    // The host's devices have 1500; 0 means that packets do not go through it.
    if ((await host.blocks()) === undefined) t.is(mtuBytes, 0);
    else t.true(mtuBytes >= 1280 && mtuBytes < 1500, `${mtuBytes}`);
  });

  serial(
    'peers are reached until they are pruned; the node itself needs no way',
    async (t, host, leads) => {
      await host.start(self);
      t.deepEqual(await host.reach([self, two, three]), []);
      await leads([two, three]);
      t.deepEqual(await host.reach([self, two, four]), []);
      await leads([two, three, four], 'what may be in use stays');
      await host.prune([self, two, four]);
      await leads([two, four]);
      await host.prune([self, two, four]);
      await leads([two, four], 'a repetition changes nothing');
      await host.prune([]);
      await leads([]);
      t.false(await host.isRetryDue());
    },
  );

  serial('a peer without a tunnel is not left out, and needs no way', async (t, host, leads) => {
    await host.start(self);
    t.deepEqual(await host.reach([self, two, { ...three, userspace: true }]), []);
    await leads([two]);
    await host.prune([self]);
    await leads([]);
  });

  serial('a peer that moves to another place is reached there only', async (t, host, leads) => {
    await host.start(self);
    await host.reach([self, two, three]);
    const moved = { ...four, nodeId: two.nodeId };
    t.deepEqual(await host.reach([self, moved, three]), []);
    await host.prune([self, moved, three]);
    await leads([moved, three]);
  });

  serial('a peer that takes the place of one that is gone keeps it', async (t, host, leads) => {
    await host.start(self);
    await host.reach([self, two]);
    const next = { ...two, nodeId: 'successor', address: four.address };
    t.deepEqual(await host.reach([self, next]), []);
    await host.prune([self, next]);
    await leads([next]);
  });

  serial('the next process takes over: ways stay until its first prune', async (t, host, leads) => {
    await host.start(self);
    await host.reach([self, two, three]);
    await host.succeed();
    await host.start(self);
    await leads([two, three]);
    t.deepEqual(await host.reach([self, two]), []);
    await leads([two, three]);
    await host.prune([self, two]);
    await leads([two]);
  });

  serial('repair restores what another program removed, and says so', async (t, host, leads) => {
    t.false(await host.repair(), 'there is nothing before the start');
    await host.start(self);
    await host.reach([self, two, three]);
    t.false(await host.repair());
    const hasWays = (await host.blocks()) !== undefined;
    await host.breakWay(two.subnet);
    await leads([three]);
    t.is(await host.repair(), hasWays);
    await leads([two, three]);
    t.false(await host.repair());
  });

  serial(
    'nothing is left of a closed tunnel, nothing repairs it, and it may start again',
    async (t, host, leads) => {
      await host.start(self);
      await host.reach([self, two]);
      await host.closeTunnel();
      await leads([]);
      await host.closeTunnel();
      t.false(await host.repair());
      await leads([]);
      await host.start(self);
      t.deepEqual(await host.reach([self, two]), []);
      await leads([two]);
    },
  );
}

type Leads = (peers: readonly MeshPeer[], message?: string) => Promise<void>;

/** The host leads to exactly these peers, if it needs ways at all. */
async function leadsTo(
  t: ExecutionContext,
  host: TunnelHost,
  peers: readonly MeshPeer[],
  message?: string,
): Promise<void> {
  const blocks = await host.blocks();
  const wanted = blocks === undefined ? undefined : peers.map(({ subnet }) => subnet);
  t.deepEqual(blocks?.toSorted(), wanted?.toSorted(), message);
}
