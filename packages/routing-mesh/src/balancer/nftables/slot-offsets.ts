/**
 * Where each draw has its slots in the map that all share: a port may have several, and the key of the map is the
 * port with a number. All are below the first endpoint id, since the packet's mark holds either.
 */
export const SLOT_OFFSETS = {
  /** At random; for IPv4, and for IPv6 where all endpoints are reached over both. */
  random: 0,
  /** At random, for IPv6 where only some are. */
  randomV6: 1000,
  /** By the client's address. */
  client: 2000,
  clientV6: 3050,
} as const;
