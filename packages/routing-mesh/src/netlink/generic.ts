import { ENOENT, NetlinkError, type NetlinkSocket } from '../kernel/netlink.js';
import { readAttributes, text, attributeValue } from './attributes.js';

/** linux/genetlink.h */
const GENL_ID_CTRL = 0x10;
const CTRL_CMD_GETFAMILY = 3;
const CTRL_ATTR_FAMILY_ID = 1;
const CTRL_ATTR_FAMILY_NAME = 2;
const HEADER_BYTES = 4;

/** A request to one family of the kernel's generic netlink. */
export function genericPayload(
  command: number,
  version: number,
  attributes: readonly Uint8Array[],
): Buffer {
  return Buffer.concat([Buffer.of(command, version, 0, 0), ...attributes]);
}

/** The attributes of an answer. */
export function genericAttributes(payload: Buffer) {
  return readAttributes(payload.subarray(HEADER_BYTES));
}

/**
 * The number of a family, which the kernel gives out when it loads the module. Asking loads it.
 * @returns undefined when the kernel has no such family
 */
export function familyId(socket: NetlinkSocket, name: string): number | undefined {
  try {
    const [reply] = socket.request({
      type: GENL_ID_CTRL,
      payload: genericPayload(CTRL_CMD_GETFAMILY, 1, [text(CTRL_ATTR_FAMILY_NAME, name)]),
    });
    return reply && attributeValue(genericAttributes(reply), CTRL_ATTR_FAMILY_ID)?.readUInt16LE(0);
  } catch (error) {
    if (error instanceof NetlinkError && error.errno === ENOENT) return undefined;
    throw error;
  }
}
