import { type Clock, type Node, type NodeAvailability, pause } from '@swarm/api';
import { ApiError, PROGRAM } from '@swarm/api';
import { neverSeen } from '../dispatcher/node-states.js';
import type { LocalManager } from '../assembly/local-manager.js';
import { transactInBatches } from '../store/batches.js';
import type { Draft, Store } from '../store/store.js';

/** Ample: a lone member leads as soon as its vote is on disk and its log is applied. */
const LEAD_LIMIT_MS = 30_000;
const LEAD_POLL_MS = 20;
const WRITE_ATTEMPTS = 10;

/** Waits until a manager leads. @throws ApiError TIMEOUT */
export async function untilLeads(manager: { isLeader(): boolean }, clock: Clock): Promise<void> {
  const until = clock.monotonicMs() + LEAD_LIMIT_MS;
  while (!manager.isLeader()) {
    if (clock.monotonicMs() >= until)
      throw new ApiError(
        'TIMEOUT',
        'the manager did not become leader of its cluster in time: see its log',
      );
    await pause(clock, LEAD_POLL_MS);
  }
}

/**
 * Demotes all other managers after a forced new cluster. One that comes back after all learns from this
 * cluster that it is a worker, and deletes its log of the old group.
 */
export async function demoteOthers(store: Store, selfId: string): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    const others = [...store.list('node')].filter((node) => node.ID !== selfId && wasManager(node));
    const ids = others.map(({ ID }) => ID);
    try {
      await transactInBatches(store, ids, (transaction, id) => {
        const node = transaction.get('node', id);
        if (node !== undefined && wasManager(node)) transaction.updateSpec('node', demoted(node));
      });
      return;
    } catch (error) {
      // The new leader's loops write nodes too.
      const changed = error instanceof ApiError && error.code === 'OUT_OF_SEQUENCE';
      if (!changed || attempt === WRITE_ATTEMPTS) throw error;
    }
  }
}

/** The manager on which a backup was restored, as the cluster will know it. */
export interface RestoredManager {
  readonly self: LocalManager;
  readonly hostname: string;
  readonly availability: NodeAvailability;
  readonly certificateExpiresAt: string;
}

/** Adds this manager to the restored cluster, as a new node. */
export async function adoptState(store: Store, restored: RestoredManager): Promise<void> {
  await store.transact((transaction) => transaction.create('node', nodeOf(restored)));
}

function wasManager(node: Node): boolean {
  return node.Spec.Role === 'manager' || node.RaftID !== undefined;
}

function demoted(node: Node): Node {
  const { RaftID: _id, ManagerAddr: _address, ...rest } = node;
  return { ...rest, Spec: { ...node.Spec, Role: 'worker' } };
}

/** Returns a node as it is in a restored cluster: down until it comes back, and no longer a manager. */
export function absent(node: Node): Node {
  const Status = {
    State: 'down',
    Message: 'not seen since the cluster was restored from a backup',
    Addr: node.Status.Addr,
  } as const;
  return { ...(wasManager(node) ? demoted(node) : node), Status };
}

function nodeOf({ self, ...given }: RestoredManager): Draft<'node'> {
  const { advertiseAddress } = self;
  const host = advertiseAddress.slice(0, advertiseAddress.lastIndexOf(':')).replace(/^\[|\]$/g, '');
  return {
    ID: self.nodeId,
    Spec: { Labels: {}, Role: 'manager', Availability: given.availability },
    Role: 'manager',
    RaftID: self.raftId,
    ManagerAddr: advertiseAddress,
    Status: neverSeen(host),
    CertificateExpiresAt: given.certificateExpiresAt,
    Description: {
      Hostname: given.hostname,
      Platform: { Architecture: '', OS: '' },
      Resources: {},
      Engine: { EngineVersion: '' },
      Program: PROGRAM,
    },
  };
}
