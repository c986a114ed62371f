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

/** A number that JSON has no form for must not cost the whole answer: it is shown as a text. */
function toJson(value: unknown): string {
  try {
    return JSON.stringify(value);
  } catch (error) {
    // Only for the second try: a replacer makes the first one several times slower.
    if (!(error instanceof TypeError)) throw error;
    return JSON.stringify(value, (_key, part: unknown) =>
      typeof part === 'bigint' ? String(part) : part,
    );
  }
}

/** Answers 200 without a body, as Docker does to most writes. */
export function sendEmpty(response: ServerResponse): void {
  response.writeHead(200, { 'Content-Length': 0 });
  response.end();
}

/** Heads of an error, and its body. */
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

/** Answers with an error; when the head is gone already, the connection is cut so that it shows. */
export function sendError(response: ServerResponse, error: ApiError): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const { headers, body } = errorReply(error);
  response.writeHead(error.status, headers);
  response.end(body);
}
