import { randomBytes } from 'node:crypto';
import type { Cluster, Node } from '@swarm/api';
import { createRootCA, issueCertificate, type RootCA } from '@swarm/manager';
import {
  certificateSubject,
  createKeyRequest,
  fetchRoot,
  readRequest,
  requestCertificate,
  type Subject,
} from '@swarm/identity';
import { until } from '../lab/index.js';
import { BAIT_LABEL, type HostileCluster } from './cluster.js';
import type { Credential, IdentityName } from './credential.js';

const WORKERS = 6;
const RESIDENTS = 3;
const HOUR_MS = 60 * 60 * 1000;
/** Last parts of the addresses that the attackers connect from. */
const FIRST_PLACE = 101;
const DEMOTED_PLACE = 61;

/** Gets every attacker's certificate as a node would. */
export class Identities {
  readonly #cluster: HostileCluster;
  readonly #all: Credential[] = [];

  constructor(cluster: HostileCluster) {
    this.#cluster = cluster;
  }

  /** @param state the cluster object with its keys, to issue what no honest cluster would */
  async make(state: Cluster): Promise<readonly Credential[]> {
    for (let i = 0; i < WORKERS; i++) await this.#mark(await this.#join('worker', i < RESIDENTS));
    await this.#removed();
    await this.#demoted();
    const [leader] = (await this.#cluster.get<Node[]>('/nodes')).filter(
      (node) => node.ManagerStatus?.Leader,
    );
    const own: RootCA = { certificate: state.Private.CACert, key: state.Private.CAKey };
    const other = await createRootCA({ clock: Date, randomBytes });
    const manager = { role: 'manager', clusterId: state.ID } as const;
    await this.#issue('foreign', other, { ...manager, nodeId: 'stranger', clusterId: 'another' });
    await this.#issue('impostor', other, { ...manager, nodeId: leader!.ID });
    await this.#issue('expired', own, { ...manager, nodeId: leader!.ID }, -2 * HOUR_MS);
    await this.#issue('unknown', own, { ...manager, nodeId: 'neverjoined0neverjoined00' });
    this.#add({ name: 'nobody' });
    return this.#all;
  }

  #add(credential: Omit<Credential, 'from'>): Credential {
    const added = { ...credential, from: this.#cluster.address(FIRST_PLACE + this.#all.length) };
    this.#all.push(added);
    return added;
  }

  /** Joins as a worker does, but without a daemon. */
  async #join(name: IdentityName, isResident = false): Promise<Credential> {
    const token = await this.#cluster.token('worker');
    const address = `${this.#cluster.managers[0]!.address}:2377`;
    const { key, csr } = await createKeyRequest();
    const rootCertificate = await fetchRoot(address, token);
    const body = { csr, token, hostname: `hostile-${this.#all.length}` };
    const { nodeId, certificate } = await requestCertificate(address, { rootCertificate }, body);
    return this.#add({ name, nodeId, key, certificate, isResident });
  }

  /** Makes the scheduler place tasks on it. */
  async #mark({ nodeId }: Credential): Promise<void> {
    const label = `${BAIT_LABEL}=yes`;
    await this.#cluster.managers[0]!.must([
      'swarm',
      'node',
      'update',
      '--label-add',
      label,
      nodeId!,
    ]);
  }

  async #removed(): Promise<void> {
    const { nodeId } = await this.#join('removed');
    await this.#cluster.remove(`/nodes/${nodeId}?force=true`);
  }

  /** Runs a whole daemon that was a member of the Raft group and is removed from it. */
  async #demoted(): Promise<void> {
    const cluster = this.#cluster;
    const daemon = await cluster.extra('m4', 'manager', DEMOTED_PLACE);
    await cluster.join(daemon, 'manager');
    const { key, certificate } = await daemon.identity();
    const { nodeId } = certificateSubject(certificate);
    await cluster.managers[0]!.must(['swarm', 'node', 'demote', nodeId]);
    await until('the manager is demoted', async () => {
      const node = await cluster.get<Node>(`/nodes/${nodeId}`);
      return node.Spec.Role === 'worker' && node.ManagerStatus === undefined;
    });
    await until('its daemon is a worker', async () => {
      const { certificate: now } = await daemon.identity();
      return certificateSubject(now).role === 'worker';
    });
    await daemon.kill();
    cluster.others.splice(cluster.others.indexOf(daemon), 1);
    await this.#mark(this.#add({ name: 'demoted', nodeId, key, certificate }));
  }

  async #issue(
    name: IdentityName,
    root: RootCA,
    subject: Subject,
    lifeMs = HOUR_MS,
  ): Promise<void> {
    const { key, csr } = await createKeyRequest(subject);
    // Backdates certificates that should have expired.
    const now = Date.now() + Math.min(0, lifeMs);
    const context = { clock: { now: () => now }, randomBytes };
    const issued = await issueCertificate(
      context,
      root,
      await readRequest(csr),
      subject,
      Math.abs(lifeMs) / 2,
    );
    this.#add({ name, nodeId: subject.nodeId, key, certificate: issued.certificate });
  }
}
