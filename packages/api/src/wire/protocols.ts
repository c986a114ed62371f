import type { ManagerMessage } from './dispatch.js';

/** The first protocol of dispatcher sessions whose welcome has the cluster's feature level. */
const WITH_FEATURE_LEVEL = 2;

/**
 * A message of a manager as a session of this protocol has it. Each difference between two protocols is
 * here, and goes when the older one leaves the window of `PROGRAM`.
 */
export function inProtocol(protocol: number, message: ManagerMessage): object {
  if (message.type === 'welcome' && protocol < WITH_FEATURE_LEVEL) {
    const { featureLevel: _, ...welcome } = message;
    return welcome;
  }
  return message;
}
