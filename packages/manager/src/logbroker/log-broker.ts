import { ApiError, newId } from '@swarm/api';
import type { ControlLoop, LoopContext } from '../control-loop.js';
import type { LogChannel } from '../dispatcher/log-channel.js';
import { LOG_STREAMS_LIMIT } from './limits.js';
import type { LogItem, LogRequest } from './log-item.js';
import { LogStream } from './log-stream.js';

/** Collects the logs of tasks from their nodes. Runs on the leader. */
export interface LogBroker extends ControlLoop {
  /**
   * Streams the logs of the selected tasks. Without `follow` the stream ends when all nodes have sent theirs,
   * with a warning as its last item if some could not. With `follow` it includes tasks that come later, and
   * ends when nothing that was selected can write any more: the named tasks have ended, or the service is gone.
   * Its `next` throws ApiError NO_QUORUM when this manager leads no more. The reader must end it (`return`, or
   * leaving a `for await`).
   * @throws ApiError OVERLOADED with too many streams, NO_QUORUM when this manager does not lead
   */
  subscribe(request: LogRequest): AsyncIterableIterator<LogItem>;
}

/** Makes the log broker over the dispatcher's sessions. */
export function createLogBroker(context: LoopContext, channel: LogChannel): LogBroker {
  const streams = new Set<LogStream>();
  let unlisten: (() => void) | undefined;

  return {
    name: 'log-broker',
    start() {
      unlisten ??= channel.listen({
        message: (nodeId, message) => {
          for (const stream of streams) stream.message(nodeId, message);
        },
        connected: (nodeId) => {
          for (const stream of streams) stream.connected(nodeId);
        },
        disconnected: (nodeId) => {
          for (const stream of streams) stream.disconnected(nodeId);
        },
      });
    },
    async stop() {
      unlisten?.();
      unlisten = undefined;
      for (const stream of streams) stream.fail(noLeader());
    },
    subscribe(request) {
      if (unlisten === undefined) throw noLeader();
      if (streams.size >= LOG_STREAMS_LIMIT) {
        throw new ApiError(
          'OVERLOADED',
          `${LOG_STREAMS_LIMIT} logs are being read: end one of them, then try again.`,
        );
      }
      // A stream that finds no node to ask ends in its constructor.
      let ended = false;
      let registered: LogStream | undefined;
      const stream = new LogStream({
        id: newId(context.randomBytes),
        store: context.store,
        channel,
        clock: context.clock,
        request,
        closed: () => {
          ended = true;
          if (registered !== undefined) streams.delete(registered);
        },
      });
      registered = stream;
      if (!ended) streams.add(stream);
      return stream;
    },
  };
}

function noLeader(): ApiError {
  return new ApiError('NO_QUORUM', 'This manager does not lead: ask the leader for logs.');
}
