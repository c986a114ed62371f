import type { Clock, Node, NodeAvailability } from '@swarm/api';
import { ApiError, PROGRAM } from '@swarm/api';
import { pause } from '@swarm/http';
import type { LocalManager } from '../assembly/local-manager.js';
import { transactInBatches } from '../store/batches.js';
import type { Draft, Store } from '../store/store.js';

/** A member alone leads as soon as its vote is on disk and its log applied. */
const LEAD_LIMIT_MS = 30_000;
const LEAD_POLL_MS = 20;
const WRITE_ATTEMPTS = 10;

/** Waits until a manager leads. @throws ApiError TIMEOUT */
export async function untilLeads(manager: { isLeader(): boolean }, clock: Clock): Promise<void> {
  const until = clock.monotonicMs() + LEAD_LIMIT_MS;
  while (!manager.isLeader()) {
    if (clock.monotonicMs() >= until)
      throw new ApiError('TIMEOUT', 'the manager did not come to lead its cluster; see its log');
    await pause(clock, LEAD_POLL_MS);
  }
}

/**
 * After a forced new cluster: the other managers are none any more. One that comes back after all hears
 * from this cluster that it is a worker, and gives up what it has of the old group.
 */
export async function demoteOthers(store: Store, selfId: string): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    const others = [...store.list('node')].filter((node) => node.ID !== selfId && wasManager(node));
    const ids = others.map(({ ID }) => ID);
    try {
      await transactInBatches(store, ids, (transaction, id) => {
        const node = transaction.get('node', id);
        if (node !== undefined && wasManager(node)) transaction.update('node', demoted(node));
      });
      return;
    } catch (error) {
      // The loops of the new leader write nodes, too.
      const changed = error instanceof ApiError && error.code === 'OUT_OF_SEQUENCE';
      if (!changed || attempt === WRITE_ATTEMPTS) throw error;
    }
  }
}

/** The manager that a backup was restored on, as the cluster shall know it. */
export interface RestoredManager {
  readonly self: LocalManager;
  readonly hostname: string;
  readonly availability: NodeAvailability;
  readonly certificateExpiresAt: string;
}

/** After a restore: this manager is a new node of the cluster. */
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

/** A node of a restored cluster: not there until it comes back, and no manager any more. */
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
    Status: { State: 'unknown', Addr: host },
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
