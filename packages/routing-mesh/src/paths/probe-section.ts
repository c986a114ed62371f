import { nodeAddress } from '../address.js';
import { PROBE_PORT, TUNNEL_DEVICE } from '../layout.js';
import type { SectionRules, TablePlace, TableSection } from '../table/table-section.js';

/** Lets probes in through the tunnel only: from elsewhere, anybody may write any source address. */
export class ProbeSection implements TableSection {
  rules({ self }: TablePlace): SectionRules {
    const own = nodeAddress(self.subnet);
    return {
      rules: {
        received: [`iifname != "${TUNNEL_DEVICE}" ip daddr ${own} udp dport ${PROBE_PORT} drop`],
      },
    };
  }

  addAll(): void {}

  takeChanges(): void {}
}
