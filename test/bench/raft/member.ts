/** One member of our cluster: the real node, log and transport, and a port for the load. */
import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { LevelStorage, type MemberInfo, RaftNode, type ReadMode, systemClock } from '@swarm/raft';
import type { NodeIdentity } from '@swarm/identity';
import { answerCalls } from './child.js';
import {
  APPLIED,
  Cutter,
  ID_BYTES,
  REFUSED,
  REPLY_BYTES,
  REQUEST_BYTES,
} from './client-protocol.js';
import { CLUSTER_ID } from './cluster-id.js';
import { memberTransport } from './member-transport.js';
import { Probes, type Spent } from './probes.js';
import { type ReadOrder, readLoad } from './read-load.js';
import { SlotTable } from './slot-table.js';

export interface MemberStart {
  readonly id: number;
  readonly members: readonly MemberInfo[];
  readonly folder: string;
  readonly identity: NodeIdentity;
  readonly clientPort: number;
  readonly readMode: ReadMode;
}

export interface MemberState {
  readonly leads: boolean;
  readonly leader: number | undefined;
  readonly commit: number;
  readonly applied: number;
  readonly firstIndex: number;
}

const probes = new Probes();
let node: RaftNode | undefined;

async function start(options: MemberStart): Promise<void> {
  const { id, members, folder, identity, clientPort, readMode } = options;
  const self = members.find((member) => member.id === id)!;
  const clock = systemClock();
  const { transport, server } = memberTransport({
    self,
    identity,
    watch: (socket) => probes.socket(socket),
  });
  node = await RaftNode.open({
    id,
    members,
    storage: probes.storage(
      new LevelStorage({ path: join(folder, 'log'), clusterId: CLUSTER_ID, memberId: id }),
    ),
    transport,
    stateMachine: probes.stateMachine(await SlotTable.open(join(folder, 'state'))),
    clock: {
      ...clock,
      setImmediate: (callback) => void setImmediate(() => probes.turn(callback)),
    },
    random: Math.random,
    readMode,
    onFatal: (error) => {
      console.error(`member ${id}:`, error);
      process.exit(1);
    },
  });
  await listen(server, Number(self.address.split(':')[1]));
  await listen(
    createServer({ noDelay: true }, (socket) => serve(socket)),
    clientPort,
  );
}

function listen(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => resolve());
  });
}

/** Serves requests of the load, each as a proposal; replies of one turn leave together. */
function serve(socket: Socket): void {
  const cutter = new Cutter(REQUEST_BYTES);
  let replies: Buffer[] = [];
  const answer = (): void => {
    const all = Buffer.concat(replies);
    replies = [];
    if (!socket.destroyed) socket.write(all);
  };
  const take = (request: Buffer): void => {
    const reply = Buffer.allocUnsafe(REPLY_BYTES);
    request.copy(reply, 0, 0, ID_BYTES);
    node!.submit(request.subarray(ID_BYTES), (error) => {
      reply[ID_BYTES] = error === undefined ? APPLIED : REFUSED;
      if (replies.push(reply) === 1) process.nextTick(() => probes.clients(answer));
    });
  };
  socket.on('data', (chunk) => probes.clients(() => cutter.cut(chunk, take)));
  socket.on('error', () => socket.destroy());
}

answerCalls({
  loaded: () => undefined,
  start,
  state(): MemberState {
    const { role, leader, commit, applied, firstIndex } = node!.status();
    return { leads: role === 'leader', leader: leader?.id, commit, applied, firstIndex };
  },
  spent: (): Spent => probes.take(),
  read: (order: ReadOrder) => readLoad(node!, order),
  transfer: () => node!.transferLeadership(),
});
