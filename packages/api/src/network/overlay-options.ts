import type { NetworkSpec } from '../objects/others.js';

/** Docker's driver options of overlay networks. */
export const ENCRYPTED_OPTION = 'encrypted';
export const MTU_OPTION = 'com.docker.network.driver.mtu';
/** The VNI of a network, which the cluster chooses if it is not given. */
export const VNI_OPTION = 'com.docker.network.driver.overlay.vxlanid_list';

/** Smallest MTU of IPv4 (RFC 791) that a user may set, and the largest of a device. */
export const MTU_MIN_BYTES = 68;
export const MTU_MAX_BYTES = 65_535;

/** Whether what tasks send each other on the network leaves a node only encrypted. Any value but `false` counts. */
export function isEncrypted({ DriverOpts }: Pick<NetworkSpec, 'DriverOpts'>): boolean {
  const value = Object.hasOwn(DriverOpts, ENCRYPTED_OPTION)
    ? DriverOpts[ENCRYPTED_OPTION]
    : undefined;
  return value !== undefined && !['false', 'False', 'FALSE', 'f', 'F', '0'].includes(value);
}

/** The MTU that the network's spec sets; undefined when it sets none, or none that a link can have. */
export function networkMtu({ DriverOpts }: Pick<NetworkSpec, 'DriverOpts'>): number | undefined {
  const text = Object.hasOwn(DriverOpts, MTU_OPTION) ? (DriverOpts[MTU_OPTION] ?? '') : '';
  const bytes = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  return bytes >= MTU_MIN_BYTES && bytes <= MTU_MAX_BYTES ? bytes : undefined;
}
