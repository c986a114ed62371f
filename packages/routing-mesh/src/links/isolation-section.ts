import { ingressIpv6Subnet } from '../address.js';
import { TASK_LINK_PREFIX, TUNNEL_DEVICE } from '../layout.js';
import type { SectionRules, TablePlace, TableSection } from '../table/table-section.js';

/**
 * Controls how tasks can be reached, and what leaves them. `forwarded`: packets to tasks must come through the
 * tunnel, or be translated by this node. `translate_source`: tasks reach the world with the node's address.
 */
export class IsolationSection implements TableSection {
  rules({ self, ingressNetwork, family }: TablePlace): SectionRules {
    const tasks = `"${TASK_LINK_PREFIX}*"`;
    const tunnel = `"${TUNNEL_DEVICE}"`;
    const networkV6 = ingressIpv6Subnet(ingressNetwork);
    const inV6 = (...lines: readonly string[]) => (family === 'inet' ? lines : []);
    return {
      rules: {
        // IPv6 has no reverse path filter: a task cannot send with another one's address.
        origin: inV6(`iifname ${tasks} ip6 saddr != fe80::/10 fib saddr . iif oif missing drop`),
        forwarded: [
          `ct state invalid ip saddr ${ingressNetwork} drop`,
          `ct state invalid ip daddr ${ingressNetwork} drop`,
          `ip daddr ${ingressNetwork} iifname != ${tunnel} ct state new ct status ! dnat drop`,
          ...inV6(
            `ct state invalid ip6 saddr ${networkV6} drop`,
            `ct state invalid ip6 daddr ${networkV6} drop`,
            `ip6 daddr ${networkV6} iifname != ${tunnel} ct state new ct status ! dnat drop`,
          ),
        ],
        translate_source: [
          `ip saddr ${self.subnet} oifname != ${tunnel} oifname != ${tasks} fib saddr type != local masquerade`,
          ...inV6(
            `ip6 saddr ${ingressIpv6Subnet(self.subnet)} oifname != ${tunnel} oifname != ${tasks} fib saddr type != local masquerade`,
          ),
        ],
      },
    };
  }

  addAll(): void {}

  takeChanges(): void {}
}
