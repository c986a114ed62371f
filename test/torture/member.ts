/** One member under torture: the product's node, log and transport, with registers as its state. */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import {
  DEFAULT_LIMITS,
  LevelStorage,
  type MemberInfo,
  NotLeaderError,
  RaftNode,
  type RaftLogger,
  StorageCorruptError,
  StateBehindLogError,
  systemClock,
} from '@swarm/raft';
import { encodeCommand, OpKind, type RegisterResult } from '@swarm/sim';
import { answerCalls, tell } from '../bench/raft/child.js';
import { CLUSTER_ID } from '../bench/raft/cluster-id.js';
import { memberTransport } from '../bench/raft/member-transport.js';
import { LateLog } from './late-log.js';
import {
  Breakage,
  type ChangeAnswer,
  type MemberStart,
  type MemberState,
  type OperationAnswer,
  type OperationRequest,
  type Started,
  type StateImage,
  type Told,
} from './member-protocol.js';
import { RegisterMachine } from './register-machine.js';

/** Half of the product's, so that twice as many elections fit into a minute. */
const TICK_MS = 50;
/** A member that was away for a second or two needs a snapshot. */
const LIMITS = { ...DEFAULT_LIMITS, snapshotInterval: 100, trailingEntries: 20 };
const JOIN_TIMEOUT_MS = 20_000;
/** A write-ahead file fills up, and becomes a table, every few hundred entries. */
const WRITE_BUFFER_BYTES = 64 * 1024;
/** Entries differ in size. */
const PADDING_LIMIT_BYTES = 400;
/** These never happened; README of the package, Host API. */
const REFUSALS = new Set([
  'RAFT_NOT_LEADER',
  'RAFT_PROPOSAL_DROPPED',
  'RAFT_OVERLOADED',
  'RAFT_QUORUM_LOST',
  'RAFT_PROPOSAL_TOO_LARGE',
]);

let node: RaftNode;
let machine: RegisterMachine;
let breakage: Breakage = Breakage.None;

async function start(options: MemberStart): Promise<Started> {
  const { self, founders, seeds, folder, identity, routes } = options;
  breakage = options.breakage;
  const { transport, server } = memberTransport({
    self,
    identity,
    addressOf: ({ nodeId }) => `127.0.0.1:${routes[nodeId]}`,
  });
  const say = (what: Told) => tell(what);
  machine = await RegisterMachine.open(join(folder, 'state'), say);
  const storage = new LevelStorage({
    path: join(folder, 'log'),
    clusterId: CLUSTER_ID,
    memberId: self.id,
    writeBufferBytes: WRITE_BUFFER_BYTES,
  });
  try {
    node = await RaftNode.open({
      id: self.id,
      ...(founders === undefined ? {} : { members: founders }),
      ...(seeds === undefined ? {} : { seeds }),
      storage: breakage === Breakage.LateLog ? new LateLog(storage) : storage,
      transport,
      stateMachine: machine,
      clock: systemClock(),
      random: Math.random,
      tickMs: TICK_MS,
      limits: { ...LIMITS, joinTimeoutMs: JOIN_TIMEOUT_MS },
      logger: logger(self.id),
      trace: ({ name, state }) => {
        if (name === 'BecomeLeader') say({ kind: 'leads', term: state.term });
      },
      onFatal: (error) => {
        console.error(`member ${self.id} must stop:`, error);
        process.exit(1);
      },
    });
  } catch (error) {
    if (error instanceof StorageCorruptError || error instanceof StateBehindLogError) {
      return { refused: error.code, why: error.message };
    }
    throw error;
  }
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { port: (server.address() as AddressInfo).port };
}

function logger(id: number): RaftLogger {
  const line = (message: string, fields: object = {}) =>
    console.error(new Date().toISOString(), id, message, JSON.stringify(fields));
  return { info: line, warn: line, error: line };
}

async function operate(request: OperationRequest): Promise<OperationAnswer> {
  try {
    return request.kind === OpKind.Read ? await read(request.key) : await write(request);
  } catch (error) {
    const { code = 'none' } = error as { readonly code?: string };
    const leader = error instanceof NotLeaderError ? error.leader?.id : undefined;
    const outcome = REFUSALS.has(code) ? 'refused' : 'unknown';
    return { outcome, code, ...(leader === undefined ? {} : { leader }) };
  }
}

async function read(key: number): Promise<OperationAnswer> {
  if (breakage !== Breakage.StaleReads) await node.readIndex();
  const { appliedIndex } = machine;
  return { outcome: 'done', before: machine.read(key), succeeded: false, index: appliedIndex };
}

async function write(request: OperationRequest): Promise<OperationAnswer> {
  const padding = Math.floor(Math.random() * PADDING_LIMIT_BYTES);
  const { index, result } = await node.propose(encodeCommand(request, padding));
  const { before, done } = result as RegisterResult;
  return { outcome: 'done', before, succeeded: done, index };
}

/** The code of a node's error: an error itself does not pass between processes. */
async function codeOf(job: Promise<void>): Promise<ChangeAnswer> {
  try {
    await job;
    return { code: 'done', message: '' };
  } catch (error) {
    const { code = 'none', message } = error as Error & { readonly code?: string };
    return { code, message };
  }
}

answerCalls({
  start,
  operate,
  state(): MemberState {
    const { id, role, term, leader, commit, applied, lastIndex, members } = node.status();
    const voters = members.filter((member) => member.role === 'voter').map(({ info }) => info.id);
    return { id, role, term, leader: leader?.id, commit, applied, lastIndex, voters };
  },
  async image(): Promise<StateImage> {
    await node.readIndex();
    return machine.image;
  },
  add: (info: MemberInfo) => codeOf(node.addMember(info)),
  remove: (id: number) => codeOf(node.removeMember(id)),
  transfer: (to: number | undefined) => codeOf(node.transferLeadership(to)),
});

process.once('SIGTERM', () => {
  node.close().then(
    () => process.exit(0),
    (error: unknown) => {
      console.error('closing failed:', error);
      process.exit(1);
    },
  );
});
// From a terminal: the torture decides.
process.on('SIGINT', () => {});
