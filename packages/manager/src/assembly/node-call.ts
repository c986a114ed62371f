import { request as httpsRequest } from 'node:https';
import { ApiError, ERRORS, type ErrorCode } from '@swarm/api';
import { ERROR_CODE_HEADER } from '../api/reply.js';
import { tlsClientOptions } from '../ca/tls-options.js';
import { type LocalManager, splitAddress } from './local-manager.js';

const REPLY_LIMIT_BYTES = 256 * 1024;

/** A small JSON request of this node to a manager, over a connection of its own. */
export interface NodeCall {
  /** `host:port`. */
  readonly address: string;
  readonly method: 'GET' | 'POST' | 'DELETE';
  readonly path: string;
  readonly timeoutMs: number;
  readonly body?: unknown;
  /** Refuse every other node that answers there. */
  readonly expectedNodeId?: string;
  /** Gives up early. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Asks a manager, and gives its answer as JSON.
 * @throws ApiError what it answered; TIMEOUT when it could not be reached, with why
 */
export function callManager(
  self: Pick<LocalManager, 'identity'>,
  call: NodeCall,
): Promise<unknown> {
  const { address, method, path, timeoutMs, body, expectedNodeId, signal } = call;
  const target = splitAddress(address);
  if (target === undefined)
    throw new ApiError('INVALID_ARGUMENT', `"${address}" is not an address: host:port is needed`);
  const text = body === undefined ? undefined : JSON.stringify(body);
  const late = AbortSignal.timeout(timeoutMs);
  return new Promise((resolve, reject) => {
    const fail = (error: Error) => {
      if (error instanceof ApiError) return reject(error);
      const why = late.aborted ? `no answer within ${timeoutMs / 1000} s` : error.message;
      reject(new ApiError('TIMEOUT', `the manager at ${address} could not be asked: ${why}`));
    };
    const outgoing = httpsRequest(
      {
        ...tlsClientOptions(self.identity(), expectedNodeId),
        ...target,
        method,
        path,
        agent: false,
        signal: signal === undefined ? late : AbortSignal.any([late, signal]),
        headers:
          text === undefined
            ? {}
            : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) },
      },
      (incoming) => {
        const chunks: Buffer[] = [];
        let bytes = 0;
        incoming.on('data', (chunk: Buffer) => {
          bytes += chunk.byteLength;
          if (bytes > REPLY_LIMIT_BYTES) incoming.destroy(new Error('its reply is too long'));
          else chunks.push(chunk);
        });
        incoming.on('error', fail);
        incoming.on('end', () => {
          try {
            const code = incoming.headers[ERROR_CODE_HEADER.toLowerCase()];
            resolve(readReply(incoming.statusCode ?? 500, code, Buffer.concat(chunks).toString()));
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

function readReply(status: number, code: unknown, text: string): unknown {
  let reply: unknown;
  try {
    reply = JSON.parse(text);
  } catch {
    throw new Error(`its reply (status ${status}) is not JSON`);
  }
  if (status < 300) return reply;
  const { message } = (reply ?? {}) as { message?: unknown };
  throw new ApiError(
    typeof code === 'string' && Object.hasOwn(ERRORS, code) ? (code as ErrorCode) : 'INTERNAL',
    String(message ?? `it answered with status ${status}`),
  );
}
