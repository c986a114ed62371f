import { X509Certificate } from 'node:crypto';
import { request } from 'node:https';
import { isIPv6 } from 'node:net';
import {
  ApiError,
  ERRORS,
  type ErrorCode,
  parseJoinToken,
  rootDigest,
  sameToken,
} from '@swarm/api';
import { ERROR_CODE_HEADER } from '../api/reply.js';
import type { CertificateReply, CertificateRequest } from './ca-server.js';
import type { NodeIdentity } from './node-identity.js';
import { pem } from './root.js';
import { subjectOf } from './subject.js';
import { type TlsClientOptions, tlsClientOptions } from './tls-options.js';

const TIMEOUT_MS = 10_000;
const REPLY_LIMIT_BYTES = 64 * 1024;

/** How a reply looks before its fields are checked. */
type Reply = Readonly<Record<string, unknown>>;

/**
 * Gets the root certificate of the cluster that a token is of. Nothing is trusted yet, so the
 * connection is not checked; what comes over it is, against the token's digest.
 * @param address `host:port` of any manager
 * @returns PEM
 * @throws ApiError INVALID_TOKEN when the manager is of another cluster than the token, TIMEOUT,
 *   UNAUTHENTICATED or NOT_IN_SWARM when the manager can not be talked to
 */
export async function fetchRoot(address: string, token: string): Promise<string> {
  const parsed = parseJoinToken(token);
  if (parsed === undefined) {
    throw new ApiError(
      'INVALID_TOKEN',
      'This is not a join token: copy it whole from `swarm join-token worker` on a manager.',
    );
  }
  const reply = await call(address, 'GET', '/ca/root', { rejectUnauthorized: false });
  const certificate = pem(String(reply.certificate));
  if (!sameToken(rootDigest(readCertificate(certificate, address).raw), parsed.digest)) {
    throw new ApiError(
      'INVALID_TOKEN',
      `The token is of another cluster than the one that the manager at ${address} is in: take the ` +
        'token from `swarm join-token` on that manager, or give the address of another.',
    );
  }
  return certificate;
}

/**
 * Has a key certified: the first time with a token, later with the identity that it renews.
 * @param address `host:port` of any manager
 * @param identity at least the root certificate from `fetchRoot`
 * @throws ApiError what the manager answered, or that it could not be reached
 */
export async function requestCertificate(
  address: string,
  identity: Pick<NodeIdentity, 'rootCertificate'> & Partial<NodeIdentity>,
  body: CertificateRequest,
): Promise<CertificateReply> {
  const reply = await call(address, 'POST', '/ca/certificates', tlsClientOptions(identity), body);
  const certificate = pem(String(reply.certificate));
  const parsed = readCertificate(certificate, address);
  const subject = subjectOf(parsed);
  const root = new X509Certificate(identity.rootCertificate);
  if (subject === undefined || !parsed.verify(root.publicKey)) {
    throw new ApiError(
      'UNAUTHENTICATED',
      `${address} gave a certificate that is not the cluster's.`,
    );
  }
  return { nodeId: subject.nodeId, role: subject.role, certificate };
}

function readCertificate(certificate: string, address: string): X509Certificate {
  try {
    return new X509Certificate(certificate);
  } catch (error) {
    const message = `${address} did not answer with a certificate: is it a manager of a cluster?`;
    throw new ApiError('UNAUTHENTICATED', message, { cause: error });
  }
}

/** Splits `host:port`, `[v6]:port`. */
function readAddress(address: string): { host: string; port: number } {
  const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(address);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host === undefined || port < 1 || port > 65535 || (match?.[1] && !isIPv6(host))) {
    throw new ApiError('INVALID_ARGUMENT', `"${address}" is not an address: host:port is needed.`);
  }
  return { host, port };
}

function call(
  address: string,
  method: 'GET' | 'POST',
  path: string,
  tls: TlsClientOptions | { readonly rejectUnauthorized: false },
  body?: unknown,
): Promise<Reply> {
  const { host, port } = readAddress(address);
  const text = body === undefined ? undefined : JSON.stringify(body);
  return new Promise((resolve, reject) => {
    const fail = (error: Error) => {
      const code = error instanceof ApiError ? error.code : tlsCode(error);
      const message = `The manager at ${address} could not be talked to: ${error.message}.`;
      reject(error instanceof ApiError ? error : new ApiError(code, message, { cause: error }));
    };
    const outgoing = request(
      {
        ...tls,
        host,
        port,
        method,
        path,
        // A connection of its own: it must not be shared between identities.
        agent: false,
        servername: '',
        signal: AbortSignal.timeout(TIMEOUT_MS),
        headers:
          text === undefined
            ? {}
            : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) },
      },
      (incoming) => {
        const chunks: Buffer[] = [];
        let bytes = 0;
        incoming.on('data', (chunk: Buffer) => {
          bytes += chunk.length;
          if (bytes > REPLY_LIMIT_BYTES) incoming.destroy(new Error('its reply is too long'));
          else chunks.push(chunk);
        });
        incoming.on('error', fail);
        incoming.on('end', () => {
          try {
            const said = incoming.headers[ERROR_CODE_HEADER.toLowerCase()];
            const text = Buffer.concat(chunks).toString();
            resolve(readReply(incoming.statusCode ?? 0, String(said), text));
          } catch (error) {
            fail(error as Error);
          }
        });
      },
    );
    outgoing.on('error', fail);
    outgoing.end(text);
  });
}

function tlsCode(error: Error): ErrorCode {
  if (error.name === 'TimeoutError' || error.name === 'AbortError') return 'TIMEOUT';
  const code = (error as NodeJS.ErrnoException).code ?? '';
  return code.startsWith('E') && !code.startsWith('ERR_TLS') ? 'TIMEOUT' : 'UNAUTHENTICATED';
}

/** Errors come as Docker's `{message}`, with our code in a header. */
function readReply(status: number, said: string, text: string): Reply {
  let reply: Reply;
  try {
    reply = JSON.parse(text) as Reply;
  } catch (error) {
    throw new Error(`its reply (status ${status}) is not JSON`, { cause: error });
  }
  if (status >= 200 && status < 300) return reply;
  const code = Object.hasOwn(ERRORS, said) ? said : String(reply.code);
  throw new ApiError(
    Object.hasOwn(ERRORS, code)
      ? (code as ErrorCode)
      : status === 401
        ? 'UNAUTHENTICATED'
        : 'INTERNAL',
    String(reply.message ?? `The manager answered with status ${status}.`),
  );
}
