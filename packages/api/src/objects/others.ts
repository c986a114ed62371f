import type { Created, Labels, Meta } from './common.js';

export interface NetworkSpec {
  readonly Name: string;
  readonly Labels: Labels;
  readonly Driver: string;
  readonly DriverOpts: Record<string, string>;
  readonly Internal: boolean;
  readonly Attachable: boolean;
  readonly Ingress: boolean;
  readonly IPv6Enabled: boolean;
  readonly Scope: 'swarm';
  readonly IPAM?: {
    readonly Driver: string;
    readonly Config: readonly {
      readonly Subnet?: string;
      readonly Gateway?: string;
      readonly IPRange?: string;
    }[];
  };
}

/** An overlay network. `Subnets`, at most one of each family, and `VNI` are given when it is made. */
export interface Network extends Meta, Created {
  readonly Spec: NetworkSpec;
  readonly Subnets: readonly { readonly Subnet: string; readonly Gateway: string }[];
  readonly VNI: number;
}

export interface Secret extends Meta {
  readonly Spec: { readonly Name: string; readonly Labels: Labels; readonly Data?: string };
}

export interface Config extends Meta {
  readonly Spec: { readonly Name: string; readonly Labels: Labels; readonly Data?: string };
}
