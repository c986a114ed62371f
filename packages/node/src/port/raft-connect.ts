import { formatWindow, type Logger, PROGRAM, PROTOCOL_HEADER } from '@swarm/api';
import { type MemberInfo, tlsConnect } from '@swarm/raft';
import type { WebSocket } from 'ws';
import { tlsClientOptions } from '@swarm/identity';
import {
  ADDRESS_HEADER,
  INSTANCE_HEADER,
  type LocalManager,
  type MovedManagers,
} from '@swarm/manager/assembly';
import { onRefusedHandshake } from './refused-handshake.js';

/**
 * How this manager connects to the Raft members of others: it names the protocols it speaks and the address
 * at which it is reached itself, tries a member that moved at both addresses in turn, and says in the log why
 * another manager refuses it, once for each reason.
 */
export function raftConnect(
  self: Pick<LocalManager, 'identity' | 'advertiseAddress' | 'instance'>,
  moved: Pick<MovedManagers, 'addressesOf' | 'failed'>,
  logger: Logger,
): (member: MemberInfo, path: string) => WebSocket {
  const said = new Map<string, string>();
  const connect = tlsConnect(({ nodeId }) => ({
    ...tlsClientOptions(self.identity(), nodeId),
    headers: {
      [PROTOCOL_HEADER]: formatWindow(PROGRAM.Protocol),
      [ADDRESS_HEADER]: self.advertiseAddress,
      [INSTANCE_HEADER]: self.instance,
    },
  }));
  return (member, path) => {
    const { nodeId } = member;
    const [address = member.address] = moved.addressesOf(member);
    const socket = connect({ ...member, address }, path);
    const failed = () => moved.failed(nodeId, address);
    socket.once('close', failed);
    socket.once('open', () => socket.off('close', failed));
    onRefusedHandshake(socket, (reason) => {
      if (said.get(nodeId) !== reason) {
        said.set(nodeId, reason);
        logger.warn({ nodeId, address, reason }, 'another manager refuses this one');
      }
      return new Error(reason);
    });
    return socket;
  };
}
