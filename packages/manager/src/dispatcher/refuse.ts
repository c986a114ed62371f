import type { ManagerAddress, NotLeader } from '@swarm/api';
import { DispatchCodec } from './codec.js';
import type { NodeSocket } from './node-socket.js';

/** RFC 6455 registry: try again later. */
const CLOSE_TRY_AGAIN = 1013;

/** Answers an agent on a manager that does not lead: names the leader if it is known, and closes. */
export function refuseSession(
  socket: NodeSocket,
  protocol: number,
  managers: readonly ManagerAddress[],
  leader?: ManagerAddress,
): void {
  const message: NotLeader = {
    type: 'not-leader',
    ...(leader === undefined ? {} : { leader }),
    managers,
  };
  socket.on('error', () => socket.terminate());
  socket.send(new DispatchCodec().encode(message, protocol), () => {});
  socket.close(CLOSE_TRY_AGAIN, 'not the leader');
}
