import {
  ANY,
  BOOL,
  mapOf,
  STRING,
  STRING_MAP,
  sliceOf,
  struct,
  TIME,
} from '../../template/types.js';

const IPAM = struct('IPAM', {
  Driver: STRING,
  Options: STRING_MAP,
  Config: sliceOf(
    struct('IPAMConfig', {
      Subnet: STRING,
      IPRange: STRING,
      Gateway: STRING,
      AuxiliaryAddresses: STRING_MAP,
    }),
  ),
});

/** A network as `GET /networks/{id}` shows it. */
export const NETWORK = struct('Network', {
  Name: STRING,
  ID: { key: 'Id', type: STRING },
  Created: TIME,
  Scope: STRING,
  Driver: STRING,
  EnableIPv4: BOOL,
  EnableIPv6: BOOL,
  IPAM,
  Internal: BOOL,
  Attachable: BOOL,
  Ingress: BOOL,
  ConfigFrom: struct('ConfigReference', { Network: STRING }),
  ConfigOnly: BOOL,
  Containers: mapOf(ANY),
  Options: STRING_MAP,
  Labels: STRING_MAP,
  Peers: sliceOf(struct('PeerInfo', { Name: STRING, IP: STRING })),
  Services: mapOf(ANY),
});
