import { type IpAddress, silentLogger, systemClock } from '@swarm/api';
import { createMesh, type Kernel, type Mesh, type Sockets } from '../../src/index.js';
import { NftError } from '../../src/kernel/nft.js';
import { NftRuleset, type Packet, type TraceHost, PacketTracer } from '../../src/trace/index.js';
import { covers } from '../../src/trace/values.js';
import { INGRESS, rawPeer } from './checked.js';
import { fakeKernel } from './fake-kernel.js';
import type { PaperIpvs } from './paper-ipvs.js';

/** No sockets: each port is taken by someone else. */
export const noSockets: Sockets = {
  listen: () => Promise.reject(Object.assign(new Error('taken'), { code: 'EADDRINUSE' })),
  bindDatagrams: () => Promise.reject(Object.assign(new Error('taken'), { code: 'EADDRINUSE' })),
  connect: () => {
    throw new Error('nobody connects');
  },
  connectDatagrams: () => {
    throw new Error('nobody connects');
  },
};

/** Node 1's mesh on a kernel of paper, whose packet filter is the tracer's. */
export class TracedMesh {
  readonly mesh: Mesh;
  readonly ruleset: NftRuleset;
  /** Everything that was written, in order. */
  readonly transactions: string[];
  /** Refuses changes of elements, so that whole tables are written. */
  refusesChanges = false;

  private constructor(mesh: Mesh, ruleset: NftRuleset, transactions: string[]) {
    this.mesh = mesh;
    this.ruleset = ruleset;
    this.transactions = transactions;
  }

  /**
   * @param sockets by default, none can be opened
   * @param ipvs balances published ports, in place of the packet filter
   */
  static async start(sockets: Sockets = noSockets, ipvs?: PaperIpvs): Promise<TracedMesh> {
    const ruleset = new NftRuleset();
    const transactions: string[] = [];
    let made: TracedMesh | undefined;
    const base = ipvs?.kernel();
    const kernel: Kernel = {
      ...fakeKernel(async (_, args) => {
        if (args.includes('addr'))
          return '[{"ifname":"eth0","mtu":1500,"addr_info":[{"local":"198.18.0.1"}]}]';
        if (args.includes('chains')) return '{"nftables":[]}';
        return args[0] === '-j' ? '[]' : '';
      }),
      ...(base === undefined ? {} : { openNetlink: base.openNetlink }),
      ...(base === undefined ? {} : { readFile: base.readFile, writeFile: base.writeFile }),
      packetFilters: [
        async () => ({
          kind: 'command',
          async run(text) {
            // The first question: whether the kernel can do what we need.
            if (!/swarm_mesh|swarm_timeouts/.test(text)) return;
            if (made?.refusesChanges === true && !text.includes('\ndelete table ip swarm_mesh')) {
              throw new NftError('refused');
            }
            ruleset.apply(text);
            transactions.push(text);
          },
          check: async () => '',
          close() {},
        }),
      ],
    };
    const mesh = await createMesh({
      backend: ipvs === undefined ? 'nftables' : 'ipvs',
      kernel,
      sockets,
      random: () => 0,
      logger: silentLogger,
      clock: systemClock({ unref: true }),
    });
    made = new TracedMesh(mesh, ruleset, transactions);
    await mesh.start(rawPeer(1));
    return made;
  }

  tracer(host: TraceHost = nodeOne): PacketTracer {
    return new PacketTracer(this.ruleset, host);
  }

  /** The last transaction that wrote everything. */
  get whole(): string {
    return this.transactions.findLast((text) => text.includes('delete table ip swarm_mesh\n'))!;
  }

  /** Every element of every set, by set. */
  elements(): Readonly<Record<string, readonly string[]>> {
    return Object.fromEntries(
      this.ruleset.tables.flatMap((table) =>
        [...table.sets.values()].map((set) => [`${table.name} ${set.name}`, set.elements]),
      ),
    );
  }
}

/** Node 1 at 198.18.0.1, with tasks on its block and a route to everything else. */
export const nodeOne: TraceHost = {
  isLocal: (address) =>
    ['198.18.0.1', '10.240.1.1'].includes(address) || covers('127.0.0.0/8', address),
  route(destination) {
    if (nodeOne.isLocal(destination)) return 'local';
    if (covers('10.240.1.0/24', destination)) return 'swt1';
    if (INGRESS.offsetOf(destination) !== undefined) return 'swarm-vxlan';
    return 'eth0';
  },
  addressOf: (device) =>
    ({ eth0: '198.18.0.1', swt1: '10.240.1.1', 'swarm-vxlan': '10.240.1.1' })[device] as
      | IpAddress
      | undefined,
};

/** As a packet's device: it comes from this node itself. */
export const HERE = '';

/** The first packet of a client outside. */
export function firstPacket({
  inInterface = 'eth0',
  ...to
}: Pick<Packet, 'protocol' | 'destinationPort'> & Partial<Packet>): Packet {
  return {
    ...(inInterface === HERE ? {} : { inInterface }),
    source: '198.18.0.100' as IpAddress,
    destination: '198.18.0.1' as IpAddress,
    sourcePort: 40_000,
    tcpFlags: to.protocol === 'tcp' ? ['syn'] : [],
    mark: 0,
    flow: { state: 'new', direction: 'original', status: [], mark: 0 },
    ...to,
  };
}
