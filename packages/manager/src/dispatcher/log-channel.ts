import type { AgentLog, AgentLogEnd, LogCredit, LogSubscribe, LogUnsubscribe } from '@swarm/api';

/** What the log broker hears from nodes. */
export interface LogListener {
  message(nodeId: string, message: AgentLog | AgentLogEnd): void;
  connected(nodeId: string): void;
  disconnected(nodeId: string): void;
}

/** The dispatcher as the log broker uses it. */
export interface LogChannel {
  isConnected(nodeId: string): boolean;
  /** Whether there was a session to send on. */
  sendLog(nodeId: string, message: LogSubscribe | LogUnsubscribe | LogCredit): boolean;
  /** Returns its end. */
  listen(listener: LogListener): () => void;
}
