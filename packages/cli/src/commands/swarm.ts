import { type Cluster, HOST_PRIVILEGES, type Node } from '@swarm/api/client';
import type { ApiClient } from '../client/api-client.js';
import { type Arguments, type Command, type Flags, UsageError } from '../command.js';
import { ensureDaemon } from '../client/ensure-daemon.js';
import { interruptible } from '../interrupt.js';
import { each } from '../flags/ipam.js';
import { oneOf } from '../flags/task-template.js';
import { parseCount, parseDuration } from '../flags/values.js';

interface SwarmInfo {
  readonly NodeID: string;
  readonly NodeAddr: string;
  readonly LocalNodeState: string;
  readonly ControlAvailable: boolean;
  readonly RemoteManagers?: { Addr: string }[] | null;
  readonly Error?: string;
}

const ADDRESS_FLAGS: Flags = {
  'advertise-addr': {
    type: 'string',
    about: 'address at which other nodes reach this one (IP or interface, with optional :PORT)',
  },
  availability: {
    type: 'string',
    about: 'availability: active, pause or drain',
    choices: ['active', 'pause', 'drain'],
    default: 'active',
  },
  'data-path-addr': {
    type: 'string',
    about:
      "address for tasks' traffic between nodes (IP or interface; default: the advertised one)",
  },
  'listen-addr': {
    type: 'string',
    about: 'address to listen on (IP or interface, with optional :PORT)',
    default: '0.0.0.0:2377',
  },
};

/** Settings of the whole cluster, for `init` and `update`. */
const SPEC_FLAGS: Flags = {
  'cert-expiry': {
    type: 'string',
    value: 'duration',
    about: 'validity of node certificates',
    default: '2160h',
  },
  'dispatcher-heartbeat': {
    type: 'string',
    value: 'duration',
    about: 'heartbeat period of nodes',
    default: '1s',
  },
  'host-privileges': {
    type: 'string',
    about: "what tasks of the image 'host' may ask of their host: none, capabilities or root",
    choices: HOST_PRIVILEGES,
    default: 'none',
  },
  'snapshot-interval': {
    type: 'string',
    value: 'uint',
    about: 'log entries between snapshots',
    default: '10000',
  },
  'task-history-limit': {
    type: 'string',
    value: 'uint',
    about: 'old tasks kept per slot',
    default: '5',
  },
};
/** Docker's settings that this version does not support. */
const NOT_YET_FLAGS = ['autolock', 'external-ca', 'max-snapshots'];

type SettableSpec = Pick<
  Cluster['Spec'],
  'Orchestration' | 'Raft' | 'Dispatcher' | 'CAConfig' | 'EncryptionConfig' | 'HostPrivileges'
>;
/** Asks for nothing: the daemon fills in its defaults. */
const EMPTY_SPEC: SettableSpec = {
  Orchestration: {},
  Raft: {},
  Dispatcher: {},
  CAConfig: {},
  EncryptionConfig: { AutoLockManagers: false },
};

/** A cluster's settings with the changes that the flags ask for. */
export function clusterSpec<T extends SettableSpec>(args: Arguments, base: T): T {
  const history = args.string('task-history-limit');
  const snapshot = args.string('snapshot-interval');
  const heartbeat = args.string('dispatcher-heartbeat');
  const expiry = args.string('cert-expiry');
  const privileges = args.string('host-privileges');
  return {
    ...base,
    Orchestration: {
      ...base.Orchestration,
      ...(history === undefined
        ? {}
        : { TaskHistoryRetentionLimit: parseCount('task-history-limit', history) }),
    },
    Raft: {
      ...base.Raft,
      ...(snapshot === undefined
        ? {}
        : { SnapshotInterval: parseCount('snapshot-interval', snapshot) }),
    },
    Dispatcher: {
      ...base.Dispatcher,
      ...(heartbeat === undefined
        ? {}
        : { HeartbeatPeriod: parseDuration('dispatcher-heartbeat', heartbeat) }),
    },
    CAConfig: {
      ...base.CAConfig,
      ...(expiry === undefined ? {} : { NodeCertExpiry: parseDuration('cert-expiry', expiry) }),
    },
    ...(privileges === undefined
      ? {}
      : { HostPrivileges: oneOf('host-privileges', privileges, HOST_PRIVILEGES) }),
  };
}

const INIT: Command = {
  path: ['init'],
  usage: '[OPTIONS]',
  about:
    'Make this host the first manager of a new cluster. Starts the daemon in the background if none is running.',
  flags: {
    ...ADDRESS_FLAGS,
    ...SPEC_FLAGS,
    'data-path-port': {
      type: 'string',
      about: "UDP port for tasks' traffic between nodes, 1024 to 49151",
      default: '4789',
    },
    'default-addr-pool': {
      type: 'list',
      value: 'CIDR',
      about: 'where networks get their subnets from, the ingress network included',
      default: '10.0.0.0/8',
    },
    'default-addr-pool-mask-length': {
      type: 'string',
      value: 'uint32',
      about: 'prefix length of those subnets',
      default: '24',
    },
    'force-new-cluster': {
      type: 'boolean',
      about: 'make a cluster of only this manager from its state, if the others are lost for good',
    },
  },
  notYet: NOT_YET_FLAGS,
  least: 0,
  most: 0,
  examples: [
    { line: 'init --advertise-addr 192.0.2.1', about: 'the first manager of a new cluster' },
    { line: 'init --advertise-addr eth0:2377', about: 'with the address of an interface' },
    {
      line: 'init --default-addr-pool 10.20.0.0/16 --default-addr-pool-mask-length 26',
      about: 'networks of 62 addresses out of 10.20.0.0/16',
    },
    { line: 'init --force-new-cluster', about: 'continue alone after the other managers are lost' },
  ],
  async run(context) {
    const { args, client, output } = context;
    const setting = Object.keys(SPEC_FLAGS).find((flag) => args.has(flag));
    if (args.boolean('force-new-cluster') && setting !== undefined)
      throw new UsageError(
        `--force-new-cluster keeps the settings: change --${setting} afterwards with 'swarm update'`,
      );
    // A line with an error starts no daemon.
    const request = {
      ...addresses(args),
      DataPathPort: parseCount('data-path-port', args.string('data-path-port') ?? '0'),
      DefaultAddrPool: each(args, 'default-addr-pool'),
      SubnetSize: parseCount(
        'default-addr-pool-mask-length',
        args.string('default-addr-pool-mask-length') ?? '0',
      ),
      ForceNewCluster: args.boolean('force-new-cluster'),
      Availability: availability(args.string('availability')),
      Spec: clusterSpec(args, EMPTY_SPEC),
    };
    await ensureDaemon(context);
    const nodeId = await client.post<string>('/swarm/init', {}, request);
    output.line(`Swarm initialized: current node (${nodeId}) is now a manager.\n`);
    output.line(await joinCommand(client, 'worker'));
    output.line(
      "\nTo add a manager to this swarm, run 'swarm join-token manager' and follow the instructions.",
    );
    return 0;
  },
};

const JOIN: Command = {
  path: ['join'],
  usage: '[OPTIONS] HOST:PORT',
  about:
    'Join this host to a cluster, as a worker or a manager depending on the token. Starts the daemon in the background if none is running.',
  flags: {
    ...ADDRESS_FLAGS,
    token: { type: 'string', about: 'token for entry into the cluster (required)' },
  },
  least: 1,
  most: 1,
  examples: [
    {
      line: 'join --token SWMTKN-1-abc 192.0.2.1:2377',
      about: "what 'swarm join-token' prints on a manager",
    },
  ],
  async run(context) {
    const { args, client, output } = context;
    const token = args.string('token');
    if (token === undefined)
      throw new UsageError(
        "a token is needed: 'swarm join-token worker' on a manager prints the whole command",
      );
    const request = {
      ...addresses(args),
      RemoteAddrs: [args.positionals[0]!],
      JoinToken: token,
      Availability: availability(args.string('availability')),
    };
    await ensureDaemon(context);
    const joining = client.post('/swarm/join', {}, request);
    const code = await interruptible(
      context.signals,
      joining.then(() => 0),
      () => {
        client.close();
        output.error(
          "Interrupted: the daemon goes on joining. 'swarm info' shows whether it has, 'swarm leave --force' makes it stop.",
        );
      },
    );
    if (code !== 0) return code;
    const { Swarm } = await client.get<{ Swarm: SwarmInfo }>('/info');
    output.line(`This node joined a swarm as a ${Swarm.ControlAvailable ? 'manager' : 'worker'}.`);
    return 0;
  },
};

const JOIN_TOKEN: Command = {
  path: ['join-token'],
  usage: '[OPTIONS] (worker|manager)',
  about: 'Show or rotate the join tokens.',
  flags: {
    quiet: { type: 'boolean', short: 'q', about: 'only print the token' },
    rotate: { type: 'boolean', about: 'make a new token; the old one becomes invalid' },
  },
  least: 1,
  most: 1,
  completes: { words: ['worker', 'manager'] },
  examples: [
    { line: 'join-token worker', about: 'print the command for another worker' },
    { line: 'join-token --rotate -q manager', about: 'replace the token of managers' },
  ],
  async run({ args, client, output }) {
    const role = roleOf(args.positionals[0]!);
    if (args.boolean('rotate')) {
      const swarm = await client.get<Cluster>('/swarm');
      const query = {
        version: swarm.Version.Index,
        rotateWorkerToken: role === 'worker',
        rotateManagerToken: role === 'manager',
        rotateManagerUnlockKey: false,
      };
      await client.post('/swarm/update', query, swarm.Spec);
      if (!args.boolean('quiet')) output.line(`Successfully rotated ${role} join token.\n`);
    }
    if (args.boolean('quiet')) output.line(tokenOf(await client.get<Cluster>('/swarm'), role));
    else output.line(`${await joinCommand(client, role)}\n`);
    return 0;
  },
};

const LEAVE: Command = {
  path: ['leave'],
  usage: '[OPTIONS]',
  about: 'Leave the cluster: stop the tasks of this node and forget the cluster.',
  flags: {
    force: {
      type: 'boolean',
      short: 'f',
      about: 'leave even if this node is a manager, whatever that means for the cluster',
    },
  },
  least: 0,
  most: 0,
  async run({ args, client, output }) {
    await client.post('/swarm/leave', { force: args.boolean('force') ? 1 : undefined });
    output.line('Node left the swarm.');
    return 0;
  },
};

const RECONNECT: Command = {
  path: ['reconnect'],
  usage: '[OPTIONS] [HOST:PORT...]',
  about:
    'Tell this node, which is in a cluster, where managers are now, or which other addresses it has itself.',
  flags: {
    'advertise-addr': ADDRESS_FLAGS['advertise-addr']!,
    'data-path-addr': {
      type: 'string',
      about: "address for tasks' traffic between nodes (IP or interface)",
    },
    'listen-addr': {
      type: 'string',
      about: 'address to listen on (IP or interface, with optional :PORT)',
    },
  },
  least: 0,
  examples: [
    { line: 'reconnect 192.0.2.9', about: 'where a manager is, when all known ones have moved' },
    { line: 'reconnect --advertise-addr 192.0.2.7', about: "when this host's address changed" },
  ],
  async run({ args, client, output }) {
    await client.post(
      '/x/reconnect',
      {},
      {
        ListenAddr: args.string('listen-addr') ?? '',
        AdvertiseAddr: args.string('advertise-addr') ?? '',
        DataPathAddr: args.string('data-path-addr') ?? '',
        RemoteAddrs: args.positionals,
      },
    );
    output.line("The node uses these addresses now; 'swarm info' shows whether all is well.");
    return 0;
  },
};

const UPDATE: Command = {
  path: ['update'],
  usage: '[OPTIONS]',
  about: 'Change settings of the cluster.',
  flags: SPEC_FLAGS,
  notYet: NOT_YET_FLAGS,
  least: 0,
  most: 0,
  examples: [
    { line: 'update --task-history-limit 2', about: 'keep two old tasks per slot' },
    {
      line: 'update --host-privileges capabilities',
      about: 'give tasks more access to their host',
    },
  ],
  async run({ args, client, output }) {
    if (!Object.keys(SPEC_FLAGS).some((flag) => args.has(flag)))
      throw new UsageError("say what to change: see 'swarm update --help'");
    const swarm = await client.get<Cluster>('/swarm');
    const query = {
      version: swarm.Version.Index,
      rotateWorkerToken: false,
      rotateManagerToken: false,
      rotateManagerUnlockKey: false,
    };
    await client.post('/swarm/update', query, clusterSpec(args, swarm.Spec));
    output.line('Swarm updated.');
    return 0;
  },
};

const CA: Command = {
  path: ['ca'],
  usage: '',
  about: 'Show the root certificate of the cluster.',
  flags: {},
  notYet: ['rotate', 'detach', 'ca-cert', 'ca-key', 'cert-expiry', 'external-ca', 'quiet'],
  least: 0,
  most: 0,
  async run({ client, output }) {
    output.line((await client.get<Cluster>('/swarm')).TLSInfo.TrustRoot.trimEnd());
    return 0;
  },
};

export const SWARM_COMMANDS: readonly Command[] = [
  CA,
  INIT,
  JOIN,
  JOIN_TOKEN,
  LEAVE,
  RECONNECT,
  UPDATE,
];

function addresses(args: Arguments): object {
  return {
    ListenAddr: args.string('listen-addr') ?? '0.0.0.0:2377',
    AdvertiseAddr: args.string('advertise-addr') ?? '',
    DataPathAddr: args.string('data-path-addr') ?? '',
  };
}

function availability(text: string | undefined): string {
  return text === undefined ? '' : oneOf('availability', text, ['active', 'pause', 'drain']);
}

function roleOf(text: string): 'worker' | 'manager' {
  if (text === 'worker' || text === 'manager') return text;
  throw new UsageError(`no join token for '${text}': use worker or manager`);
}

async function joinCommand(client: ApiClient, role: 'worker' | 'manager'): Promise<string> {
  // First: where it is no manager, the daemon says so, and what to do.
  const token = tokenOf(await client.get<Cluster>('/swarm'), role);
  const { Swarm } = await client.get<{ Swarm: SwarmInfo }>('/info');
  const node = await client.get<Node>(`/nodes/${Swarm.NodeID}`);
  const address = node.ManagerStatus?.Addr;
  if (address === undefined)
    throw new UsageError('no manager address known; run this on a manager');
  return `To add a ${role} to this swarm, run the following command:\n\n    swarm join --token ${token} ${address}`;
}

function tokenOf(swarm: Cluster, role: 'worker' | 'manager'): string {
  return role === 'worker' ? swarm.JoinTokens.Worker : swarm.JoinTokens.Manager;
}
