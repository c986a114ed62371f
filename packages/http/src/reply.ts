import type { ServerResponse } from 'node:http';
import { type ApiError, ERROR_CODE_HEADER } from '@swarm/api';

/** Answers with a JSON value. */
export function sendJson(response: ServerResponse, value: unknown, status = 200): void {
  const body = Buffer.from(`${toJson(value)}\n`);
  response.writeHead(status, {
    'Content-Type': 'application/json',
    'Content-Length': body.byteLength,
  });
  response.end(body);
}

/** Writes a number that JSON cannot express as text, so that it does not spoil the whole answer. */
function toJson(value: unknown): string {
  try {
    return JSON.stringify(value);
  } catch (error) {
    // A replacer makes this several times slower, so only the second try has one.
    if (!(error instanceof TypeError)) throw error;
    return JSON.stringify(value, (_key, part: unknown) =>
      typeof part === 'bigint' ? String(part) : part,
    );
  }
}

/** Answers 200 without a body, as Docker does to most writes. */
export function sendEmpty(response: ServerResponse, status: 200 | 204 = 200): void {
  response.writeHead(status, status === 204 ? {} : { 'Content-Length': 0 });
  response.end();
}

/** Status, headers and body of an error. */
export function errorReply(error: ApiError): {
  readonly headers: Record<string, string | number>;
  readonly body: Buffer;
} {
  const body = Buffer.from(`${JSON.stringify({ message: error.message })}\n`);
  return {
    headers: {
      'Content-Type': 'application/json',
      'Content-Length': body.byteLength,
      [ERROR_CODE_HEADER]: error.code,
    },
    body,
  };
}

/** Answers with an error; when the head is already sent, cuts the connection so that the client notices. */
export function sendError(response: ServerResponse, error: ApiError): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const { headers, body } = errorReply(error);
  response.writeHead(error.status, headers);
  response.end(body);
}
