import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { OverlayCluster } from '@swarm/routing-mesh/lab';
import { Running } from './programs.js';

/** Where every server answers HTTP, and takes bytes. */
export const HTTP_PORT = 8000;
export const BYTES_PORT = 5201;
const USERSPACE_PORTS = { [HTTP_PORT]: 20_001, [BYTES_PORT]: 20_002 } as const;

/** Hosts without a mesh: a router with a server behind it, and one that reaches it by a tunnel. */
const PLAIN = '198.18.0.21';
const PLAIN_FAR = '198.18.0.22';
const USERSPACE = '198.18.0.23';
/** The server behind them: replies from the second address take the tunnel back. */
const SERVER = '198.18.77.2';
const SERVER_FAR = '198.18.78.2';

/** A way to a server. */
export interface Way {
  readonly name: string;
  /** Namespace of the client. */
  readonly from: string;
  readonly host: string;
  readonly httpPort: number;
  readonly bytesPort: number;
}

/** Servers with the same program, reached in the ways that are compared. */
export class TrafficLab {
  readonly ways: readonly Way[];
  readonly #cluster: OverlayCluster;
  readonly #running: Running;
  readonly #folder: string;

  private constructor(
    cluster: OverlayCluster,
    running: Running,
    folder: string,
    ways: readonly Way[],
  ) {
    this.#cluster = cluster;
    this.#running = running;
    this.#folder = folder;
    this.ways = ways;
  }

  static async open(): Promise<TrafficLab> {
    const folder = await mkdtemp(join(tmpdir(), 'bench-mesh-'));
    const running = new Running();
    const cluster = await OverlayCluster.open('bt', 2);
    const lab = new TrafficLab(
      cluster,
      running,
      folder,
      await build(cluster, running, folder).catch(async (error) => {
        await running.close();
        await cluster.close();
        await rm(folder, { recursive: true });
        throw error;
      }),
    );
    return lab;
  }

  async close(): Promise<void> {
    await this.#running.close();
    await this.#cluster.close();
    await rm(this.#folder, { recursive: true });
  }
}

async function build(
  cluster: OverlayCluster,
  running: Running,
  folder: string,
): Promise<readonly Way[]> {
  const { lab, client } = cluster;
  lab.sh(client.netns, 'sysctl -qw net.ipv4.ip_local_port_range="1024 65535"');
  const serve = async (netns: string, http: number, bytes: number): Promise<void> => {
    const file = join(folder, `server-${netns}.cfg`);
    await writeFile(file, serverConfig(http));
    running.start(netns, ['haproxy', '-db', '-f', file]);
    running.start(netns, ['iperf3', '-s', '-p', String(bytes)]);
  };

  // Ours.
  cluster.network('bench', '10.0.1.0/24');
  cluster.service('web', 2, 'bench');
  const task = await cluster.task({ node: 1, networks: ['ingress', 'bench'], service: 'web' });
  const caller = await cluster.task({ node: 1, networks: ['bench'] });
  lab.sh(caller.netns, 'sysctl -qw net.ipv4.ip_local_port_range="1024 65535"');
  await serve(task.netns, HTTP_PORT, BYTES_PORT);
  const state = cluster.state();
  const ports = [HTTP_PORT, BYTES_PORT].map((port) => ({
    ...({ protocol: 'tcp', publishedPort: port, serviceId: 'web' } as const),
    endpoints: [
      {
        ...{ taskId: task.taskId, nodeId: 'node1', port },
        address: cluster.addressOf(task, 'ingress'),
      },
    ],
  }));
  for (const node of cluster.nodes) await node.agent.apply({ ...state, ports });

  // Plain routing, and HAProxy on the same hosts.
  const plain = await lab.host('plain', PLAIN);
  const far = await lab.host('far', PLAIN_FAR);
  const server = await lab.task('server');
  for (const host of [plain, far]) {
    lab.sh(
      host.netns,
      'sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0',
    );
  }
  lab.sh(
    plain.netns,
    `ip link add direct type veth peer name eth0 netns ${server.netns}
     ip addr add 198.18.77.1/32 dev direct; ip link set direct up
     ip route add ${SERVER} dev direct; ip route add ${SERVER_FAR} dev direct
     ip link add tunnel type vxlan id 99 local ${PLAIN} remote ${PLAIN_FAR} dstport 4790
     ip addr add 198.18.79.1/30 dev tunnel; ip link set tunnel up
     ip rule add from ${SERVER_FAR} lookup 99; ip route add default via 198.18.79.2 table 99`,
  );
  lab.sh(
    far.netns,
    `ip link add tunnel type vxlan id 99 local ${PLAIN_FAR} remote ${PLAIN} dstport 4790
     ip addr add 198.18.79.2/30 dev tunnel; ip link set tunnel up
     ip route add ${SERVER_FAR} via 198.18.79.1`,
  );
  lab.sh(
    server.netns,
    `ip link set lo up; ip addr add ${SERVER}/32 dev eth0; ip addr add ${SERVER_FAR}/32 dev eth0
     ip link set eth0 up; ip route add 198.18.77.1 dev eth0; ip route add default via 198.18.77.1`,
  );
  lab.sh(
    client.netns,
    `ip route add ${SERVER} via ${PLAIN}; ip route add ${SERVER_FAR} via ${PLAIN_FAR}`,
  );
  await serve(server.netns, HTTP_PORT, BYTES_PORT);
  for (const [host, target] of [
    [plain, SERVER],
    [far, SERVER_FAR],
  ] as const) {
    const file = join(folder, `proxy-${host.netns}.cfg`);
    await writeFile(file, proxyConfig(target));
    running.start(host.netns, ['haproxy', '-db', '-f', file]);
  }

  // Without root.
  const user = await lab.host('user', USERSPACE);
  await user.agent.createMesh({ backend: 'userspace', bindAddresses: [USERSPACE] });
  const place = { nodeId: 'user', index: 9, address: USERSPACE, subnet: '10.240.9.0/24' };
  const peer = { ...place, userspace: true };
  await user.agent.start(peer);
  await serve(user.netns, USERSPACE_PORTS[HTTP_PORT], USERSPACE_PORTS[BYTES_PORT]);
  await user.agent.apply({
    generation: 1,
    peers: [peer],
    ports: ([HTTP_PORT, BYTES_PORT] as const).map((port) => ({
      ...({ protocol: 'tcp', publishedPort: port, serviceId: 'web' } as const),
      endpoints: [
        { taskId: 'web1', nodeId: 'user', address: USERSPACE, port: USERSPACE_PORTS[port] },
      ],
    })),
  });

  const usual = { httpPort: HTTP_PORT, bytesPort: BYTES_PORT };
  const outside = { from: client.netns, ...usual };
  const inside = { from: caller.netns, ...usual };
  const direct = cluster.addressOf(task, 'bench');
  return [
    { name: 'direct', ...outside, host: SERVER },
    { name: 'local', ...outside, host: '198.18.0.1' },
    { name: 'remote', ...outside, host: '198.18.0.2' },
    { name: 'tunnel', ...outside, host: SERVER_FAR },
    { name: 'haproxy', ...outside, host: PLAIN },
    { name: 'haproxy remote', ...outside, host: PLAIN_FAR },
    {
      ...{ name: 'userspace direct', from: client.netns, host: USERSPACE },
      ...{ httpPort: USERSPACE_PORTS[HTTP_PORT], bytesPort: USERSPACE_PORTS[BYTES_PORT] },
    },
    { name: 'userspace', ...outside, host: USERSPACE },
    { name: 'task direct', ...inside, host: direct },
    { name: 'vip', ...inside, host: '10.0.1.2' },
  ];
}

function serverConfig(port: number): string {
  return `global
  nbthread 1
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend web
  bind *:${port}
  http-request return status 200 content-type text/plain string "ok"
`;
}

function proxyConfig(server: string): string {
  return `global
  nbthread 2
defaults
  mode tcp
  timeout connect 5s
  timeout client 60s
  timeout server 60s
listen web
  bind *:${HTTP_PORT}
  server one ${server}:${HTTP_PORT}
listen bytes
  bind *:${BYTES_PORT}
  server one ${server}:${BYTES_PORT}
`;
}
