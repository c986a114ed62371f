import { X509Certificate } from 'node:crypto';
import { isHostAddress, type ManagerMessage, parseIpAddress } from '@swarm/api';
import { certificateSubject } from '@swarm/identity';
import type { Answer } from './answers.js';
import { type Credential, isOfCluster } from './credential.js';

/** Codes of refusals that say that the cluster cannot, rather than may not. None of them may come of an attack. */
const OUR_FAULTS = new Set(['INTERNAL', 'NO_QUORUM']);
const ERROR_CODE = 'x-swarm-error-code';
/** The ingress network, and this host: all nodes of the test are on it. */
const MAY_BE_ENDPOINTS = /^(10\.2(4\d|5[0-5])|127)\./;

/** Judges what managers tell an attacker: what it may not have, it must not get. */
export class Judge {
  readonly #secrets: readonly Buffer[];

  /** @param secrets texts that no attacker may ever see */
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
    return `was answered ${status}`;
  }

  /** @returns what a message of a manager tells that it should not, or undefined */
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
        const other = message.update.find(({ NodeID }) => NodeID !== credential.nodeId);
        return other === undefined ? undefined : `got task ${other.ID} of node ${other.NodeID}`;
      }
      case 'mesh':
        return this.#mesh(message.delta);
      default:
        return undefined;
    }
  }

  /** @returns what bytes hold that is secret, or undefined */
  bytes(bytes: Buffer): string | undefined {
    for (const secret of this.#secrets) {
      if (bytes.includes(secret)) return `was told the secret ${secret.toString().slice(0, 12)}…`;
    }
    return bytes.includes('PRIVATE KEY') ? 'was given a private key' : undefined;
  }

  #mayOpen({ name }: Credential, label: string): boolean {
    return label === 'UPGRADE /dispatcher' && isOfCluster(name);
  }

  /** A node may renew its own certificate, for the role it has now: a worker's. */
  #certificate({ name, nodeId }: Credential, body: Buffer): string | undefined {
    if (!isOfCluster(name)) return 'was given a certificate';
    const { certificate } = JSON.parse(body.toString()) as { certificate: string };
    const subject = certificateSubject(certificate);
    if (subject.nodeId !== nodeId) return `was given the certificate of ${subject.nodeId}`;
    if (subject.role !== 'worker') return `was given a ${subject.role}'s certificate`;
    return new X509Certificate(certificate).ca ? 'was given an authority' : undefined;
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
