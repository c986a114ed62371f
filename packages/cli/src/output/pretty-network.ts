/** A network as the API shows it. */
export interface ShownNetwork {
  readonly Id: string;
  readonly Name: string;
  readonly Created: string;
  readonly Scope: string;
  readonly Driver: string;
  readonly EnableIPv6: boolean;
  readonly IPAM: {
    readonly Config:
      | readonly {
          readonly Subnet?: string;
          readonly IPRange?: string;
          readonly Gateway?: string;
        }[]
      | null;
  };
  readonly Internal: boolean;
  readonly Attachable: boolean;
  readonly Ingress: boolean;
  readonly Options: Readonly<Record<string, string>> | null;
  readonly Labels: Readonly<Record<string, string>> | null;
  readonly Services?: Readonly<
    Record<
      string,
      {
        readonly VIP: string;
        readonly Tasks: readonly { readonly Name: string; readonly EndpointIP: string }[] | null;
      }
    >
  >;
}

/** Formats a network for people. */
export function prettyNetwork(network: ShownNetwork): string {
  const lines = [
    `ID:\t\t${network.Id}`,
    `Name:\t\t${network.Name}`,
    ...pairs('Labels', network.Labels),
    `Driver:\t\t${network.Driver}`,
    `Scope:\t\t${network.Scope}`,
    `Created at:\t${network.Created}`,
    `Internal:\t${network.Internal}`,
    `Attachable:\t${network.Attachable}`,
    `Ingress:\t${network.Ingress}`,
    `IPv6:\t\t${network.EnableIPv6}`,
  ];
  for (const { Subnet, Gateway, IPRange } of network.IPAM.Config ?? []) {
    lines.push(`Subnet:\t\t${Subnet ?? ''}`);
    if (Gateway !== undefined && Gateway !== '') lines.push(` Gateway:\t${Gateway}`);
    if (IPRange !== undefined && IPRange !== '') lines.push(` Range:\t\t${IPRange}`);
  }
  lines.push(...pairs('Options', network.Options));
  for (const [name, { VIP, Tasks }] of Object.entries(network.Services ?? {})) {
    lines.push(`Service:\t${name}${VIP === '' ? '' : ` (${VIP})`}`);
    for (const task of Tasks ?? []) lines.push(` ${task.Name}\t${task.EndpointIP}`);
  }
  return `${lines.join('\n')}\n`;
}

function pairs(title: string, map: Readonly<Record<string, string>> | null): string[] {
  const entries = Object.entries(map ?? {});
  return entries.length === 0
    ? []
    : [`${title}:`, ...entries.map(([key, value]) => ` ${key}=${value}`)];
}
