import { type IpAddress, parseIpAddress, Subnet } from '@swarm/api';
import { parseNetworkId, parseTaskId } from '../../src/layout.js';
import type { BookChange } from '../../src/names/resolver-orders.js';
import { SentNames } from '../../src/names/sent-names.js';
import type { NamesSlice } from '../../src/names/service-names.js';
import type { NetworkView, ViewedMember, ViewedService } from '../../src/overlay/network-view.js';

export interface MemberPlan {
  readonly taskId: string;
  readonly serviceId?: string;
  readonly names?: readonly string[];
  readonly addresses: readonly string[];
  readonly serves?: boolean;
  /** Absent: it runs on a node that can be reached. */
  readonly node?: 'down' | 'unknown';
}

/** What matters to names of a view. */
export interface ViewPlan {
  readonly networkId: string;
  readonly name?: string;
  readonly subnets?: readonly string[];
  readonly isInternal?: boolean;
  readonly services?: readonly {
    readonly serviceId: string;
    readonly names: readonly string[];
    readonly vips?: readonly string[];
  }[];
  readonly members?: readonly MemberPlan[];
}

/** A view as JSON: subnets are texts, and maps are lists. */
export interface PlainView {
  readonly overlay: Omit<NetworkView['overlay'], 'subnets'> & {
    readonly subnets: readonly string[];
  };
  readonly services: readonly ViewedService[];
  readonly members: readonly ViewedMember[];
}

/** @throws when it is no address */
export function ip(text: string): IpAddress {
  const address = parseIpAddress(text);
  if (address === undefined) throw new RangeError(`${text} is not an address`);
  return address;
}

export function plainView(plan: ViewPlan): PlainView {
  const { networkId, name = networkId, subnets = ['10.0.1.0/24'], isInternal = false } = plan;
  const peer = {
    nodeId: 'node1',
    index: 1,
    address: ip('198.18.0.1'),
    subnet: '10.240.1.0/24' as never,
    addressesV6: [],
    down: false,
    userspace: false,
    probed: false,
    encryption: undefined,
  };
  return {
    overlay: {
      networkId: parseNetworkId(networkId)!,
      name,
      subnets,
      isInternal,
      isEncrypted: false,
      mtuBytes: undefined,
    },
    services: (plan.services ?? []).map(({ serviceId, names, vips = [] }) => ({
      serviceId,
      names,
      vips: vips.map(ip),
    })),
    members: (plan.members ?? []).map((member) => ({
      member: {
        taskId: parseTaskId(member.taskId)!,
        nodeId: 'node1',
        serviceId: member.serviceId ?? '',
        names: member.names ?? [],
        networks: new Map(),
        serves: member.serves ?? true,
        weight: 1,
      },
      addresses: member.addresses.map(ip),
      peer: member.node === 'unknown' ? undefined : { ...peer, down: member.node === 'down' },
    })),
  };
}

export function readView({ overlay, services, members }: PlainView): NetworkView {
  const subnets = overlay.subnets.map((text) => Subnet.of(text));
  return {
    overlay: { ...overlay, subnets },
    services: new Map(services.map((service) => [service.serviceId, service])),
    members: new Map(members.map((one) => [one.member.taskId, one])),
  };
}

/** Views as parts get them, with nothing said of what is touched. */
export function namesSlice(...views: readonly NetworkView[]): NamesSlice {
  return {
    networks: new Map(views.map((view) => [view.overlay.networkId, view])),
    touched: undefined,
  };
}

export function viewOf(plan: ViewPlan): NetworkView {
  return readView(plainView(plan));
}

/** What tells a resolver all of these. */
export function changesOf(plans: readonly ViewPlan[]): readonly BookChange[] {
  const { networks } = namesSlice(...plans.map(viewOf));
  return new SentNames().changesTo(networks, undefined);
}
