import { DEFAULT_DATA_PATH_PORT, peerMac, TUNNEL_VNI } from '../../src/layout.js';

/** A packet in the tunnel as one node would send it to another, from anybody who knows how. */
export interface ForgedPacket {
  /** Indexes of the nodes. */
  readonly from: number;
  readonly to: number;
  /** IPv4 addresses of the tasks. */
  readonly source: string;
  readonly destination: string;
}

const UDP_BYTES = 8;
const IPV4_BYTES = 20;
const TTL = 64;
const PROTOCOL_UDP = 17;
/** Where nobody listens: the task counts it. */
const PORT = 7;

/** The line of a shell that sends the packet from a host which has the address of the node that it names. */
export function sendForged(packet: ForgedPacket, hosts: { from: string; to: string }): string {
  const script = `
    const socket = require('dgram').createSocket('udp4');
    socket.bind(0, '${hosts.from}', () =>
      socket.send(Buffer.from('${tunnelled(packet).toString('hex')}', 'hex'), ${DEFAULT_DATA_PATH_PORT}, '${hosts.to}',
        (error) => { if (error) throw error; socket.close(); }));`;
  return `'${process.execPath}' -e "${script.replaceAll('\n', ' ')}"`;
}

/** VXLAN (RFC 7348) and what is within. */
function tunnelled({ from, to, source, destination }: ForgedPacket): Buffer {
  const vxlan = Buffer.alloc(8);
  vxlan[0] = 8;
  vxlan.writeUIntBE(TUNNEL_VNI, 4, 3);
  const ethernet = Buffer.concat([mac(to), mac(from), Buffer.of(8, 0)]);
  const ip = Buffer.alloc(IPV4_BYTES);
  ip[0] = 0x45;
  ip.writeUInt16BE(IPV4_BYTES + UDP_BYTES, 2);
  ip[8] = TTL;
  ip[9] = PROTOCOL_UDP;
  ip.set(source.split('.').map(Number), 12);
  ip.set(destination.split('.').map(Number), 16);
  ip.writeUInt16BE(checksum(ip), 10);
  const udp = Buffer.alloc(UDP_BYTES);
  udp.writeUInt16BE(1234, 0);
  udp.writeUInt16BE(PORT, 2);
  udp.writeUInt16BE(UDP_BYTES, 4);
  return Buffer.concat([vxlan, ethernet, ip, udp]);
}

function mac(index: number): Buffer {
  return Buffer.from(peerMac(index).replaceAll(':', ''), 'hex');
}

function checksum(header: Buffer): number {
  let sum = 0;
  for (let at = 0; at < header.length; at += 2) sum += header.readUInt16BE(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return ~sum & 0xffff;
}
