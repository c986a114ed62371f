import {
  type IpAddress,
  type MeshPeer,
  type MeshState,
  parseIpAddress,
  silentLogger,
  Subnet,
} from '@swarm/api';
import { type Ipv4Address, parseIpv4, type SubnetText, subnetText } from '../../src/address.js';
import { type CheckedPeer, type CheckedState, readPeer } from '../../src/checked.js';
import { DEFAULT_INGRESS } from '../../src/ingress.js';
import { StateReader } from '../../src/state-reader.js';

export function cidr(text: string): SubnetText {
  return subnetText(Subnet.of(text))!;
}

export function ip(text: string): IpAddress {
  return parseIpAddress(text)!;
}

export function ipv4(text: string): Ipv4Address {
  return parseIpv4(text)!;
}

export const INGRESS = Subnet.of(DEFAULT_INGRESS.subnet);

/** A node's place as managers give it; its address is 198.18.0.0 plus the index. */
export function rawPeer(index: number): MeshPeer {
  return {
    nodeId: `node${index}`,
    index,
    address: `198.18.${index >> 8}.${index & 255}`,
    subnet: `10.${240 + (index >> 8)}.${index & 255}.0/24`,
  };
}

export function peer(index: number): CheckedPeer {
  return readPeer(rawPeer(index), INGRESS);
}

/** The state as the mesh reads it. */
export function checkedState(state: MeshState): CheckedState {
  return new StateReader({ ingress: INGRESS, logger: silentLogger }).read(state, undefined, false);
}
