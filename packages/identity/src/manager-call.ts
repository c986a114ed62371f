import { request } from 'node:https';
import {
  ApiError,
  ERROR_CODE_HEADER,
  ERRORS,
  type ErrorCode,
  formatWindow,
  parseHostPort,
  PROGRAM,
  PROTOCOL_HEADER,
  systemProblem,
} from '@swarm/api';
import type { TlsClientOptions } from './tls-options.js';
import { explainValidity, isValidityError } from './validity.js';

const REPLY_LIMIT_BYTES = 256 * 1024;

/** A small JSON request of a node to a manager, over a connection of its own. */
export interface ManagerCall {
  /** `host:port`. */
  readonly address: string;
  readonly method: 'GET' | 'POST' | 'DELETE';
  readonly path: string;
  /** Whom to trust. A node that has no certificate yet trusts nobody, and checks what it gets. */
  readonly tls: TlsClientOptions | { readonly rejectUnauthorized: false };
  readonly timeoutMs: number;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  /** Gives up early. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Asks a manager, and gives its answer as JSON.
 * @throws ApiError what it answered; INVALID_ARGUMENT for a bad address; TIMEOUT when it could not be
 *   reached, UNAUTHENTICATED when it is not the one it should be, with why
 */
export function callManager(call: ManagerCall): Promise<unknown> {
  const { address, method, path, tls, timeoutMs, body, signal, headers = {} } = call;
  const target = parseHostPort(address);
  if (target === undefined) {
    const message = `"${address}" is not an address: host:port is needed.`;
    return Promise.reject(new ApiError('INVALID_ARGUMENT', message));
  }
  const text = body === undefined ? undefined : JSON.stringify(body);
  const late = AbortSignal.timeout(timeoutMs);
  return new Promise((resolve, reject) => {
    const fail = (error: Error) => {
      if (error instanceof ApiError) return reject(error);
      if (isValidityError(error)) {
        void explainValidity(address, Date.now()).then((why) => {
          const message = `The manager at ${address} could not be talked to: ${why}.`;
          reject(new ApiError('UNAUTHENTICATED', message, { cause: error }));
        });
        return;
      }
      const why = late.aborted ? `no answer within ${timeoutMs / 1000} s` : systemProblem(error);
      const message = `The manager at ${address} could not be talked to: ${why}.`;
      reject(new ApiError(codeOf(error), message, { cause: error }));
    };
    const outgoing = request(
      {
        ...tls,
        ...target,
        method,
        path,
        // A connection of its own: it must not be shared between identities.
        agent: false,
        servername: '',
        signal: signal === undefined ? late : AbortSignal.any([late, signal]),
        headers: {
          ...headers,
          [PROTOCOL_HEADER]: formatWindow(PROGRAM.Protocol),
          ...(text !== undefined && {
            'content-type': 'application/json',
            'content-length': Buffer.byteLength(text),
          }),
        },
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
            const said = String(incoming.headers[ERROR_CODE_HEADER.toLowerCase()]);
            resolve(readReply(incoming.statusCode ?? 0, said, Buffer.concat(chunks).toString()));
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

function codeOf(error: Error): ErrorCode {
  if (error.name === 'TimeoutError' || error.name === 'AbortError') return 'TIMEOUT';
  const code = (error as NodeJS.ErrnoException).code ?? '';
  return code.startsWith('E') && !code.startsWith('ERR_TLS') ? 'TIMEOUT' : 'UNAUTHENTICATED';
}

/** Errors come as Docker's `{message}`, with our code in a header. */
function readReply(status: number, said: string, text: string): unknown {
  let reply: unknown;
  try {
    reply = JSON.parse(text);
  } catch (error) {
    throw new Error(`its reply (status ${status}) is not JSON`, { cause: error });
  }
  if (status >= 200 && status < 300) return reply;
  const { code, message } = (reply ?? {}) as { code?: unknown; message?: unknown };
  const known = [said, String(code)].find((each) => Object.hasOwn(ERRORS, each));
  const otherwise = status === 401 ? 'UNAUTHENTICATED' : 'INTERNAL';
  throw new ApiError(
    (known as ErrorCode | undefined) ?? otherwise,
    String(message ?? `The manager answered with status ${status}.`),
  );
}
