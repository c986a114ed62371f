import { X509Certificate } from 'node:crypto';
import { certificateSubject } from '@swarm/identity';
import {
  type Assignments,
  isHostAddress,
  type ManagerMessage,
  needsOf,
  parseIpAddress,
  type Task,
  type TaskAssignments,
} from '@swarm/api';
import type { Answer } from './answers.js';
import { type Credential, isOfCluster } from './credential.js';

/** Codes for what the cluster cannot do, rather than what a peer may not. No attack may cause them. */
const OUR_FAULTS = new Set(['INTERNAL', 'NO_QUORUM']);
const ERROR_CODE = 'x-swarm-error-code';
/** The ingress network, and this host, which has all nodes of the test. */
const MAY_BE_ENDPOINTS = /^(10\.2(4\d|5[0-5])|127)\./;

/** Checks that managers send an attacker nothing that it may not have. */
export class Judge {
  readonly #secrets: readonly Buffer[];
  /** Objects sent to a node since its last complete set, and what the tasks of that set need. */
  readonly #sets = new Map<string, { sent: string[]; needed: Set<string> }>();

  /** @param secrets texts that no attacker may see */
  constructor(secrets: readonly string[]) {
    this.#secrets = secrets.map((secret) => Buffer.from(secret));
  }

  /** @returns what is wrong with an answer, or undefined */
  answer(
    credential: Credential,
    label: string,
    { status, headers, body }: Answer,
  ): string | undefined {
    const code = headers[ERROR_CODE];
    if (status >= 500 && (code === undefined || OUR_FAULTS.has(code)))
      return `was answered ${status} ${code ?? ''}: ${body.toString('utf8', 0, 200)}`;
    const leak = this.bytes(body);
    if (leak !== undefined) return leak;
    if (status === 101) return this.#mayOpen(credential, label) ? undefined : 'was let in';
    if (status < 200 || status >= 300) return undefined;
    if (label === 'GET /ca/root' || label === 'HEAD /ca/root') return undefined;
    if (label === 'POST /ca/certificates') return this.#certificate(credential, body);
    if (label.includes(' /attachments')) return this.#attachment(credential, body);
    return `was answered ${status}`;
  }

  /** @returns what a manager's message reveals that it should not, or undefined */
  message(credential: Credential, message: ManagerMessage, bytes: Buffer): string | undefined {
    const leak = this.bytes(bytes);
    if (leak !== undefined) return leak;
    switch (message.type) {
      case 'welcome':
      case 'node':
        return message.node.ID === credential.nodeId
          ? undefined
          : `got the node object of ${message.node.ID}`;
      case 'assignments': {
        const other = tasksOf(message).find(({ NodeID }) => NodeID !== credential.nodeId);
        if (other !== undefined) return `got task ${other.ID} of node ${other.NodeID}`;
        return this.#objects(credential, message);
      }
      case 'mesh':
        return this.#mesh(message.delta);
      default:
        return undefined;
    }
  }

  /** A node gets only the objects that its own tasks need. A complete set contains both. */
  #objects(
    { nodeId = '' }: Credential,
    message: Assignments | TaskAssignments,
  ): string | undefined {
    if (!('changes' in message) || message.set === 'incremental') return undefined;
    const set = this.#sets.get(nodeId) ?? { sent: [], needed: new Set() };
    for (const change of message.changes) {
      if (change.action === 'put' && change.kind !== 'task')
        set.sent.push(`${change.kind} ${change.object.ID}`);
    }
    for (const task of tasksOf(message)) {
      for (const { kind, id } of needsOf(task)) set.needed.add(`${kind} ${id}`);
    }
    if (message.set === 'piece') this.#sets.set(nodeId, set);
    else this.#sets.delete(nodeId);
    const other = set.sent.find((object) => !set.needed.has(object));
    return message.set === 'complete' && other !== undefined
      ? `got ${other}, which none of its tasks needs`
      : undefined;
  }

  /** @returns which secret the bytes contain, or undefined */
  bytes(bytes: Buffer): string | undefined {
    for (const secret of this.#secrets) {
      if (bytes.includes(secret)) return `was told the secret ${secret.toString().slice(0, 12)}…`;
    }
    return bytes.includes('PRIVATE KEY') ? 'was given a private key' : undefined;
  }

  #mayOpen({ name }: Credential, label: string): boolean {
    return label === 'UPGRADE /dispatcher' && isOfCluster(name);
  }

  /** A node may renew only its own certificate, for its current role: worker. */
  #certificate({ name, nodeId }: Credential, body: Buffer): string | undefined {
    if (!isOfCluster(name)) return 'was given a certificate';
    const { certificate } = JSON.parse(body.toString()) as { certificate: string };
    const subject = certificateSubject(certificate);
    if (subject.nodeId !== nodeId) return `was given the certificate of ${subject.nodeId}`;
    if (subject.role !== 'worker') return `was given a ${subject.role}'s certificate`;
    return new X509Certificate(certificate).ca ? 'was given an authority' : undefined;
  }

  /** A node gets places on networks for its own containers only. */
  #attachment({ name, nodeId }: Credential, body: Buffer): string | undefined {
    if (!isOfCluster(name)) return 'was given a place on a network';
    const { Task } = JSON.parse(body.toString()) as { Task?: { NodeID?: string } };
    return Task === undefined || Task.NodeID === nodeId
      ? undefined
      : `was given a place of node ${Task.NodeID}`;
  }

  #mesh({ peers, ports }: Extract<ManagerMessage, { type: 'mesh' }>['delta']): string | undefined {
    for (const { nodeId, address } of peers) {
      const parsed = parseIpAddress(address);
      if (parsed === undefined || !isHostAddress(parsed))
        return `all nodes were told that node ${nodeId} is at ${JSON.stringify(address)}`;
    }
    for (const { publishedPort, endpoints } of ports) {
      const odd = endpoints.find(({ address }) => !MAY_BE_ENDPOINTS.test(address));
      if (odd !== undefined)
        return `all nodes were told to send port ${publishedPort} to ${JSON.stringify(odd.address)} for task ${odd.taskId} of node ${odd.nodeId}`;
    }
    return undefined;
  }
}

/** Tasks that a message assigns. */
export function tasksOf(message: Assignments | TaskAssignments): readonly Task[] {
  if (!('changes' in message)) return message.update;
  return message.changes.flatMap((change) =>
    change.kind === 'task' && change.action === 'put' ? [change.object] : [],
  );
}
