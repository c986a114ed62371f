import { TASK_LINK_PREFIX, TUNNEL_DEVICE } from '../layout.js';
import type { SectionRules, TablePlace, TableSection } from '../table/table-section.js';

/**
 * Controls how tasks can be reached, and what leaves them. `forwarded`: packets to tasks must come through the
 * tunnel, or be translated by this node. `translate_source`: tasks reach the world with the node's address.
 */
export class IsolationSection implements TableSection {
  rules({ self, ingressNetwork }: TablePlace): SectionRules {
    const tasks = `"${TASK_LINK_PREFIX}*"`;
    const tunnel = `"${TUNNEL_DEVICE}"`;
    return {
      rules: {
        forwarded: [
          `ct state invalid ip saddr ${ingressNetwork} drop`,
          `ct state invalid ip daddr ${ingressNetwork} drop`,
          `ip daddr ${ingressNetwork} iifname != ${tunnel} ct state new ct status ! dnat drop`,
        ],
        translate_source: [
          `ip saddr ${self.subnet} oifname != ${tunnel} oifname != ${tasks} fib saddr type != local masquerade`,
        ],
      },
    };
  }

  addAll(): void {}

  takeChanges(): void {}
}
