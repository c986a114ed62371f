import type { IncomingMessage } from 'node:http';
import { formatWindow, type Logger, PROGRAM, PROTOCOL_HEADER } from '@swarm/api';
import { type MemberInfo, tlsConnect } from '@swarm/raft';
import type { WebSocket } from 'ws';
import { tlsClientOptions } from '@swarm/identity';
import type { LocalManager } from '@swarm/manager/assembly';

/** Characters of a refusal that are read. */
const REFUSAL_LIMIT = 4096;

/**
 * How this manager connects to the Raft members of others: it names the protocols it speaks, and says in
 * the log why another manager refuses it, once for each reason.
 */
export function raftConnect(
  self: Pick<LocalManager, 'identity'>,
  logger: Logger,
): (member: MemberInfo, path: string) => WebSocket {
  const said = new Map<string, string>();
  const connect = tlsConnect(({ nodeId }) => ({
    ...tlsClientOptions(self.identity(), nodeId),
    headers: { [PROTOCOL_HEADER]: formatWindow(PROGRAM.Protocol) },
  }));
  return (member, path) => {
    const socket = connect(member, path);
    socket.on('unexpected-response', (_request, response: IncomingMessage) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        if (text.length < REFUSAL_LIMIT) text += chunk;
      });
      response.on('error', () => undefined);
      response.on('close', () => {
        const reason = messageIn(text) ?? `status ${response.statusCode ?? 0}`;
        if (said.get(member.nodeId) !== reason) {
          said.set(member.nodeId, reason);
          const { nodeId, address } = member;
          logger.warn({ nodeId, address, reason }, 'another manager refuses this one');
        }
        socket.emit('error', new Error(reason));
        socket.terminate();
      });
    });
    return socket;
  };
}

function messageIn(text: string): string | undefined {
  try {
    const { message } = JSON.parse(text) as { readonly message?: unknown };
    return typeof message === 'string' ? message : undefined;
  } catch {
    return undefined;
  }
}
