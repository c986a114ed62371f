import type { Config, Network, NetworkSpec, Secret } from '../objects/others.js';
import {
  choice,
  cidr,
  count,
  flag,
  ipAddress,
  list,
  optional,
  record,
  text,
} from '../wire/shape.js';
import { CREATED, labelsShape, META, NAME_LIMIT } from './common.js';

type Ipam = NonNullable<NetworkSpec['IPAM']>;

/** Most characters of a secret's or config's data: Base64 of a config's 1000 KiB. */
export const DATA_LIMIT = 1_400_000;

/** A subnet as a user may give it; the allocator parses it. */
const subnetText = text(NAME_LIMIT);

export const networkSpecShape = record<NetworkSpec>({
  Name: text(NAME_LIMIT),
  Labels: labelsShape,
  Driver: text(NAME_LIMIT),
  DriverOpts: labelsShape,
  Internal: flag,
  Attachable: flag,
  Ingress: flag,
  IPv6Enabled: flag,
  Scope: choice<'swarm'>({ swarm: true }),
  IPAM: optional(
    record<Ipam>({
      Driver: text(NAME_LIMIT),
      Config: list(
        record<Ipam['Config'][number]>({
          Subnet: optional(subnetText),
          Gateway: optional(subnetText),
          IPRange: optional(subnetText),
        }),
      ),
    }),
  ),
});

export const networkShape = record<Network>({
  ...META,
  ...CREATED,
  Spec: networkSpecShape,
  Subnets: list(record<Network['Subnets'][number]>({ Subnet: cidr, Gateway: ipAddress })),
  VNI: count,
});

/** The specs of secrets and configs have the same fields. */
const dataSpecShape = record<Secret['Spec'] & Config['Spec']>({
  Name: text(NAME_LIMIT),
  Labels: labelsShape,
  Data: optional(text(DATA_LIMIT)),
});

export const secretShape = record<Secret>({ ...META, Spec: dataSpecShape });

export const configShape = record<Config>({ ...META, Spec: dataSpecShape });
