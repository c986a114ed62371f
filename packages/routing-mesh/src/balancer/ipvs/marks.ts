import type { PortProtocol } from '@swarm/api';
import { FIRST_IPVS_MARK, LAST_IPVS_MARK } from '../../layout.js';

const PROTOCOLS: readonly PortProtocol[] = ['tcp', 'udp', 'sctp'];
/** A port's number takes the lower bits, its protocol the next ones. */
const PORT_BITS = 16;

/**
 * The mark that leads a packet to the service of a published port. It follows from the port alone, so a later process
 * knows whose each service is without having stored it.
 */
export function portMark(protocol: PortProtocol, publishedPort: number): number {
  return FIRST_IPVS_MARK + (PROTOCOLS.indexOf(protocol) << PORT_BITS) + publishedPort;
}

/** Whether a service with this mark is ours. */
export function isOurMark(mark: number): boolean {
  return mark >= FIRST_IPVS_MARK && mark <= LAST_IPVS_MARK;
}

/**
 * Whether connections of the protocol behind the mark end by themselves, so that an endpoint that goes may keep them.
 * Datagrams have no end.
 */
export function hasConnections(mark: number): boolean {
  return PROTOCOLS[(mark - FIRST_IPVS_MARK) >> PORT_BITS] !== 'udp';
}
