import type { IpAddress } from '@swarm/api';
import type { CheckedAttachment } from '../checked.js';

/**
 * The place of the network through which a task reaches everything but its networks: that of published ports, if it
 * has them, else the first that is not internal. A program that answers datagrams without naming a source address
 * answers with that of this network, so it has to be the one that clients of ports come through.
 * @param isOf of the family in question
 * @returns undefined when there is none
 */
export function gatewayPlace(
  attachments: readonly CheckedAttachment[],
  isOf: (address: IpAddress) => boolean,
): number | undefined {
  const places = [...attachments.keys()].filter((place) =>
    attachments[place]!.addresses.some(isOf),
  );
  return (
    places.find((place) => attachments[place]!.overlay === undefined) ??
    places.find((place) => attachments[place]!.overlay?.isInternal === false)
  );
}
