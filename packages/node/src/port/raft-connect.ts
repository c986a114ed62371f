import { formatWindow, type Logger, PROGRAM, PROTOCOL_HEADER } from '@swarm/api';
import { type MemberInfo, tlsConnect } from '@swarm/raft';
import type { WebSocket } from 'ws';
import { tlsClientOptions } from '@swarm/identity';
import type { LocalManager } from '@swarm/manager/assembly';
import { onRefusedHandshake } from './refused-handshake.js';

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
    onRefusedHandshake(socket, (reason) => {
      if (said.get(member.nodeId) !== reason) {
        said.set(member.nodeId, reason);
        const { nodeId, address } = member;
        logger.warn({ nodeId, address, reason }, 'another manager refuses this one');
      }
      return new Error(reason);
    });
    return socket;
  };
}
