import type { IncomingMessage } from 'node:http';
import type { WebSocket } from 'ws';

/** How many characters of a refusal to read. */
const REFUSAL_LIMIT = 16 * 1024;

/**
 * Ends a WebSocket whose handshake a manager refused, with the manager's reason.
 * @param refused gets the reason, and returns the error that the socket then emits
 */
export function onRefusedHandshake(
  socket: WebSocket,
  refused: (reason: string, response: IncomingMessage) => Error,
): void {
  socket.on('unexpected-response', (_request, response: IncomingMessage) => {
    let text = '';
    response.setEncoding('utf8');
    response.on('data', (chunk: string) => {
      if (text.length < REFUSAL_LIMIT) text += chunk;
    });
    response.on('error', () => undefined);
    response.on('close', () => {
      const reason = messageIn(text) ?? `status ${response.statusCode ?? 0}`;
      socket.emit('error', refused(reason, response));
      socket.terminate();
    });
  });
}

function messageIn(text: string): string | undefined {
  try {
    const { message } = JSON.parse(text) as { readonly message?: unknown };
    return typeof message === 'string' ? message : undefined;
  } catch {
    return undefined;
  }
}
