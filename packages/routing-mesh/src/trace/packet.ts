import type { IpAddress } from '@swarm/api';

export type PacketProtocol = 'tcp' | 'udp' | 'sctp' | 'icmp';
export type TcpFlag = 'syn' | 'ack' | 'rst' | 'fin' | 'psh' | 'urg';
export type FlowStatus = 'dnat' | 'snat' | 'assured';

/** What the kernel's table of connections has of the packet's connection. */
export interface PacketFlow {
  readonly state: 'new' | 'established' | 'related' | 'invalid';
  readonly direction: 'original' | 'reply';
  readonly status: readonly FlowStatus[];
  readonly mark: number;
  /** Where the connection's first packet was sent to. */
  readonly originalDestination?: IpAddress;
}

/** A packet at one place of its way. */
export interface Packet {
  /** Absent for one that this host sends. */
  readonly inInterface?: string;
  /** Where it will leave; known once it was routed. */
  readonly outInterface?: string;
  /** Of the frame it came in. */
  readonly etherSource?: string;
  readonly source: IpAddress;
  readonly destination: IpAddress;
  readonly protocol: PacketProtocol;
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly tcpFlags: readonly TcpFlag[];
  /** The first 128 bytes of a UDP datagram with its header hold it at bit 96, if it is one of VXLAN. */
  readonly vxlanNetwork?: number;
  /** Names as nft prints them, of an ICMP or ICMPv6 message. */
  readonly icmp?: { readonly type: string; readonly code?: string };
  readonly mark: number;
  readonly flow: PacketFlow;
}

/** What the rules ask of the host around them. */
export interface TraceHost {
  /** Whether packets to the address end here: its own, 127.0.0.0/8 and so on. */
  isLocal(address: IpAddress): boolean;
  /** The device through which packets leave; `local` for one that ends here; undefined without a route. */
  route(destination: IpAddress, mark: number): string | undefined;
  /** The address that a packet gets that is masqueraded out of the device. */
  addressOf(device: string): IpAddress | undefined;
}

/** One of the places that a balancer outside the packet filter may choose. */
export interface BalancedPlace {
  readonly address: IpAddress;
  readonly port: number;
  /** Of new connections: 0 to 1. */
  readonly share: number;
}

/** What IPVS does with a packet that would be delivered to a program of this host. */
export interface Balance {
  /** How it chose, for people. */
  readonly text: string;
  readonly places: readonly BalancedPlace[];
}

/** Says what IPVS does with a packet; undefined when it is none of its. */
export type Balancing = (packet: Packet) => Balance | undefined;
