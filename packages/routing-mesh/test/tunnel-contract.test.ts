import { type MeshPeer, silentLogger, systemClock } from '@swarm/api';
import test from 'ava';
import { type CheckedPeer, readPeer } from '../src/checked.js';
import { DEFAULT_INGRESS } from '../src/ingress.js';
import { TUNNEL_DEVICE } from '../src/layout.js';
import { PeerSection } from '../src/tunnel/peer-section.js';
import { noTunnel, type Tunnel } from '../src/tunnel/tunnel.js';
import { VxlanTunnel } from '../src/tunnel/vxlan-tunnel.js';
import { tunnelContract, type TunnelHost } from './contract/tunnel-contract.js';
import { labProblem, MeshLab } from './lab/lab.js';
import { INGRESS, rawPeer } from './support/checked.js';
import { PaperHost } from './support/paper-host.js';
import { fakeKernel } from './support/fake-kernel.js';

const byNode = (peers: readonly MeshPeer[]): ReadonlyMap<string, CheckedPeer> =>
  new Map(peers.map((peer) => [peer.nodeId, readPeer(peer, INGRESS)]));

/** A tunnel in this process. */
function tunnelHost(create: () => Tunnel, host?: PaperHost): TunnelHost {
  let tunnel = create();
  return {
    succeed: async () => {
      tunnel = create();
    },
    mtuBytes: async () => tunnel.mtuBytes,
    start: (self) => tunnel.start(readPeer(self, INGRESS), DEFAULT_INGRESS),
    reach: async (peers) => [...(await tunnel.reach(byNode(peers)))],
    prune: (peers) => tunnel.prune(byNode(peers)),
    isRetryDue: async () => tunnel.isRetryDue,
    repair: () => tunnel.repair(),
    closeTunnel: () => tunnel.close(),
    blocks: async () => host?.through(TUNNEL_DEVICE),
    breakWay: async (block) => host?.removeRoute(block),
  };
}

tunnelContract('VXLAN on paper', async () => {
  const host = new PaperHost();
  const create = () =>
    new VxlanTunnel({
      kernel: fakeKernel(host.run),
      logger: silentLogger,
      clock: systemClock(),
      port: 4789,
      section: new PeerSection(),
    });
  return tunnelHost(create, host);
});

tunnelContract('no tunnel', async () => tunnelHost(() => noTunnel));

const problem = labProblem();

if (problem === undefined) {
  let lab: MeshLab | undefined;
  let node: Awaited<ReturnType<MeshLab['host']>> | undefined;

  test.after.always(() => lab?.close());

  tunnelContract('VXLAN in the kernel', async () => {
    lab ??= new MeshLab('v');
    node ??= await lab.host('node', rawPeer(1).address);
    const { agent, netns } = node;
    const inside = (line: string) => lab!.sh(netns, line);
    const create = () => agent.createParts({ backend: 'nftables' });
    await create();
    return {
      succeed: create,
      mtuBytes: () => agent.tunnelMtuBytes(),
      start: (self) => agent.startTunnel(self),
      reach: (peers) => agent.reach(peers),
      prune: (peers) => agent.prune(peers),
      isRetryDue: () => agent.isRetryDue(),
      repair: () => agent.repairTunnel(),
      closeTunnel: () => agent.closeTunnel(),
      blocks: async () => {
        const routes = JSON.parse(inside('ip -j route show table main') || '[]') as {
          readonly dst: string;
          readonly dev?: string;
        }[];
        return routes.filter(({ dev }) => dev === TUNNEL_DEVICE).map(({ dst }) => dst);
      },
      breakWay: async (block) => {
        inside(`ip route del ${block} dev ${TUNNEL_DEVICE}`);
      },
    };
  });
} else {
  test(`SKIPPED, the tunnel is not tested in the kernel: ${problem}`, (t) => {
    t.log(problem);
    t.pass();
  });
}
