import type { ControlLoop, LoopContext } from '../control-loop.js';
import { DispatchCodec } from './codec.js';
import { type DispatcherOptions, DispatcherRun } from './dispatcher-run.js';
import type { LogChannel, LogListener } from './log-channel.js';
import { managerAddresses } from './managers.js';
import type { NodeSocket } from './node-socket.js';
import { refuseSession } from './refuse.js';
import type { SessionPeer } from './session.js';

export type { DispatcherOptions } from './dispatcher-run.js';

/** Runs on the leader: the other end of every agent's session. */
export interface Dispatcher extends ControlLoop, LogChannel {
  /**
   * Takes over a connection to `/dispatcher`. While the loop does not run, answers that this manager does not
   * lead. The server should have `maxPayload` DISPATCH_FRAME_LIMIT_BYTES.
   * @param peer admitted by `Authority`
   */
  accept(socket: NodeSocket, peer: SessionPeer): void;
  /** Notes why a node was refused a connection to `/dispatcher`, for its status. */
  refused(nodeId: string, why: string): void;
}

/** Makes the dispatcher. It may start again after a stop. */
export function createDispatcher(
  context: LoopContext,
  options: DispatcherOptions = {},
): Dispatcher {
  const listeners = new Set<LogListener>();
  const codec = new DispatchCodec();
  let run: DispatcherRun | undefined;
  return {
    name: 'dispatcher',
    start() {
      run ??= new DispatcherRun(context, options, codec, listeners);
    },
    async stop() {
      const stopping = run;
      run = undefined;
      await stopping?.stop();
    },
    accept(socket, peer) {
      if (run === undefined) refuseSession(socket, peer.protocol, managerAddresses(context.store));
      else run.accept(socket, peer);
    },
    refused: (nodeId, why) => run?.refused(nodeId, why),
    isConnected: (nodeId) => run?.session(nodeId) !== undefined,
    sendLog(nodeId, message) {
      const session = run?.session(nodeId);
      session?.send(message);
      return session !== undefined;
    },
    listen(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}
