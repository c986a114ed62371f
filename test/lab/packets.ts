/** What a packet of a capture says in clear, at any depth that we know how to read. */
export interface ClearPacket {
  /** Of headers, and of what is asked for with ARP. In order, from the outside to the inside. */
  readonly addresses: readonly string[];
  /** The packet is encrypted by WireGuard on this port, or is ESP. */
  readonly isSealed: boolean;
  readonly bytes: Buffer;
}

/** Ports by which tunnels are known. */
export interface TunnelPorts {
  readonly vxlan: number;
  readonly wireguard: number;
}

const FILE_HEADER_BYTES = 24;
const PACKET_HEADER_BYTES = 16;
const ETHERNET_BYTES = 14;
const VXLAN_BYTES = 8;
const UDP_BYTES = 8;
const TYPE = { ipv4: 0x0800, arp: 0x0806, ipv6: 0x86dd } as const;
const PROTOCOL = { udp: 17, esp: 50 } as const;

/** Reads a capture file of Ethernet packets (pcap, in this machine's byte order). */
export function readPackets(capture: Buffer, ports: TunnelPorts): ClearPacket[] {
  const packets: ClearPacket[] = [];
  for (let at = FILE_HEADER_BYTES; at + PACKET_HEADER_BYTES <= capture.length; ) {
    const length = capture.readUInt32LE(at + 8);
    const start = at + PACKET_HEADER_BYTES;
    const bytes = capture.subarray(start, start + length);
    const addresses: string[] = [];
    packets.push({ bytes, addresses, isSealed: readFrame(bytes, ports, addresses) });
    at = start + length;
  }
  return packets;
}

/** @returns whether what is within is encrypted */
function readFrame(frame: Buffer, ports: TunnelPorts, addresses: string[]): boolean {
  if (frame.length < ETHERNET_BYTES) return false;
  const type = frame.readUInt16BE(12);
  const data = frame.subarray(ETHERNET_BYTES);
  if (type === TYPE.arp && data.length >= 28) addresses.push(v4(data, 14), v4(data, 24));
  if (type === TYPE.ipv4 && data.length >= 20) {
    addresses.push(v4(data, 12), v4(data, 16));
    return readSegment(data.subarray((data[0]! & 15) * 4), data[9]!, ports, addresses);
  }
  if (type === TYPE.ipv6 && data.length >= 40) {
    addresses.push(v6(data, 8), v6(data, 24));
    return readSegment(data.subarray(40), data[6]!, ports, addresses);
  }
  return false;
}

function readSegment(
  data: Buffer,
  protocol: number,
  ports: TunnelPorts,
  addresses: string[],
): boolean {
  if (protocol === PROTOCOL.esp) return true;
  if (protocol !== PROTOCOL.udp || data.length < UDP_BYTES) return false;
  const port = data.readUInt16BE(2);
  if (port === ports.vxlan) {
    return readFrame(data.subarray(UDP_BYTES + VXLAN_BYTES), ports, addresses);
  }
  return port === ports.wireguard;
}

function v4(bytes: Buffer, at: number): string {
  return bytes.subarray(at, at + 4).join('.');
}

/** All 8 groups, with all digits. */
function v6(bytes: Buffer, at: number): string {
  return bytes
    .subarray(at, at + 16)
    .toString('hex')
    .replace(/(....)(?!$)/g, '$1:');
}
