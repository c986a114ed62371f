import { parseIpAddress } from '@swarm/api';
import { CommandError } from '../kernel/command.js';
import type { Kernel } from '../kernel/kernel.js';
import { NetlinkError, type NetlinkSocket } from '../kernel/netlink.js';
import { line } from '../kernel/words.js';
import { IPSEC_INTERFACE_ID, IPSEC_PROBE_DEVICE } from '../layout.js';
import { deleteAssociation, ESP_KEY_BYTES, newAssociation, XFRM } from '../netlink/xfrm.js';

/** The probe's association is between addresses for documentation (RFC 5737), and is removed at once. */
const PROBE_ENDS = { from: '192.0.2.1', to: '192.0.2.2' } as const;
const PROBE_SPI = 0xffff_fff0;
const PROBE_INTERFACE_ID = IPSEC_INTERFACE_ID + 1;

/** Why the kernel cannot do what IPsec takes, as the end of a sentence; undefined when it can. Leaves nothing. */
export async function ipsecProblem(kernel: Kernel): Promise<string | undefined> {
  let netlink: NetlinkSocket;
  try {
    netlink = await kernel.openNetlink('xfrm');
  } catch (error) {
    if (!(error instanceof NetlinkError)) return (error as Error).message;
    return `the kernel has no IPsec (module xfrm_user, CONFIG_XFRM_USER): ${error.message}`;
  }
  try {
    probeAlgorithm(netlink);
  } catch (error) {
    return `the kernel has no ESP with AES-GCM (modules esp4 and gcm, CONFIG_INET_ESP): ${(error as Error).message}`;
  } finally {
    netlink.close();
  }
  const commands = [
    line`link add ${IPSEC_PROBE_DEVICE} type xfrm if_id ${PROBE_INTERFACE_ID}`,
    line`link del ${IPSEC_PROBE_DEVICE}`,
  ];
  try {
    await kernel.run('ip', ['-batch', '-'], `${commands.join('\n')}\n`);
    return undefined;
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    return `the kernel has no XFRM interfaces (module xfrm_interface, CONFIG_XFRM_INTERFACE): ${error.message}`;
  }
}

/** @throws NetlinkError when the kernel has no such association */
function probeAlgorithm(netlink: NetlinkSocket): void {
  const from = parseIpAddress(PROBE_ENDS.from)!;
  const to = parseIpAddress(PROBE_ENDS.to)!;
  const key = new Uint8Array(ESP_KEY_BYTES);
  const association = { from, to, spi: PROBE_SPI, key, interfaceId: PROBE_INTERFACE_ID };
  netlink.request({ type: XFRM.newAssociation, payload: newAssociation(association) });
  netlink.request({ type: XFRM.deleteAssociation, payload: deleteAssociation(association) });
}
