import type { AgentHello, ManagerMessage } from './dispatch.js';
import { taskAssignments } from './task-assignments.js';

/** The first protocol of dispatcher sessions that tells agents the cluster's feature level. */
const WITH_FEATURE_LEVEL = 2;
/** The first one with typed assignments: a set comes in pieces, and the agent acknowledges what it applied. */
export const WITH_TYPED_ASSIGNMENTS = 2;

/**
 * A message of a manager as a session of this protocol has it. Each difference between two protocols is
 * here, and goes when the older one leaves the window of `PROGRAM`.
 */
export function inProtocol(protocol: number, message: ManagerMessage): object {
  if (protocol >= WITH_FEATURE_LEVEL) return message;
  if (message.type === 'assignments' && 'set' in message) return taskAssignments(message);
  if (message.type !== 'welcome' && message.type !== 'node') return message;
  const { featureLevel: _, ...rest } = message;
  return rest;
}

/** The last protocol whose managers may have no subprotocols: they refuse a hello that does not name it. */
const NAMED_IN_HELLO = 1;

/** A hello as a session of this protocol has it. Later managers know the protocol and ignore the field. */
export function helloInProtocol(protocol: number, hello: AgentHello): AgentHello {
  return protocol > NAMED_IN_HELLO ? hello : { ...hello, protocol };
}
