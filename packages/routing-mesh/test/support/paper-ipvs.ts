import type { Kernel } from '../../src/kernel/kernel.js';
import {
  EEXIST,
  ENOENT,
  ESRCH,
  NetlinkError,
  type NetlinkSocket,
} from '../../src/kernel/netlink.js';
import {
  attribute,
  attributeValue,
  nested,
  readAttributes,
  text,
  u16,
  u32,
} from '../../src/netlink/attributes.js';
import { genericAttributes, genericPayload } from '../../src/netlink/generic.js';
import { fakeKernel } from './fake-kernel.js';

const FAMILY = 0x30;
const COMMANDS = [
  ...['', 'new service', 'set service', 'delete service', 'list services'],
  ...['new destination', 'set destination', 'delete destination', 'list destinations'],
  ...['', '', '', 'set limits', 'get limits'],
];

export interface PaperDestination {
  /** In hexadecimal, as it was sent: 16 bytes and the port. */
  readonly place: string;
  weight: number;
  connections: number;
}

export interface PaperService {
  readonly family: number;
  readonly mark: number;
  scheduler: string;
  readonly destinations: Map<string, PaperDestination>;
}

/** What Linux does with requests to IPVS, as far as we send them: services, destinations and limits, and refusals. */
export class PaperIpvs {
  /** By family and mark: `2 262224`. */
  readonly services = new Map<string, PaperService>();
  limits: readonly [number, number, number] = [900, 120, 300];
  /** Changes since the last look, as `new destination 2 262224 0a f0 …`. */
  readonly changes: string[] = [];
  /** Refuses changes with this error while it is not 0. */
  refuses = 0;
  /** The kernel lacks the module. */
  isMissing = false;

  /** A kernel with this IPVS, whose settings are files. */
  kernel(): Kernel & { readonly files: Map<string, string> } {
    const kernel = fakeKernel(async () => '');
    for (const [name, value] of [
      ['conntrack', '0'],
      ['expire_nodest_conn', '0'],
      ['conn_reuse_mode', '1'],
    ] as const)
      kernel.files.set(`/proc/sys/net/ipv4/vs/${name}`, value);
    return { ...kernel, openNetlink: async () => this.socket() };
  }

  socket(): NetlinkSocket {
    return {
      request: ({ type, payload }) => this.#request(type, Buffer.from(payload)),
      close: () => {},
    };
  }

  take(): string[] {
    return this.changes.splice(0);
  }

  #request(type: number, payload: Buffer): readonly Buffer[] {
    const attributes = genericAttributes(payload);
    if (type !== FAMILY) {
      if (this.isMissing) throw refusal(ENOENT);
      return [genericPayload(1, 1, [u16(1, FAMILY)])];
    }
    const command = COMMANDS[payload[0]!]!;
    if (command === 'list services') return [...this.services.values()].map(listedService);
    if (command === 'get limits') {
      const [tcp, tcpFin, udp] = this.limits;
      return [genericPayload(13, 1, [u32(4, tcp), u32(5, tcpFin), u32(6, udp)])];
    }
    if (command === 'set limits') {
      const at = (id: number) => attributeValue(attributes, id)!.readUInt32LE(0);
      this.limits = [at(4), at(5), at(6)];
      this.changes.push(`${command} ${this.limits.join(' ')}`);
      return [];
    }
    const service = readAttributes(attributeValue(attributes, 1)!);
    const family = attributeValue(service, 1)!.readUInt16LE(0);
    const mark = attributeValue(service, 5)!.readUInt32LE(0);
    const scheduler = attributeValue(service, 6)?.toString('latin1').replace('\0', '');
    const key = `${family} ${mark}`;
    const found = this.services.get(key);
    if (command === 'list destinations')
      return [...(found?.destinations.values() ?? [])].map(listedDestination);
    if (this.refuses !== 0) throw refusal(this.refuses);
    if (command === 'new service') {
      if (found !== undefined) throw refusal(EEXIST);
      this.services.set(key, { family, mark, scheduler: scheduler!, destinations: new Map() });
    } else if (found === undefined) throw refusal(ESRCH);
    else if (command === 'set service') found.scheduler = scheduler!;
    else if (command === 'delete service') this.services.delete(key);
    else return this.#changeDestination(command, key, found, attributes);
    this.changes.push(`${command} ${key}${scheduler === undefined ? '' : ` ${scheduler}`}`);
    return [];
  }

  #changeDestination(
    command: string,
    key: string,
    { destinations }: PaperService,
    attributes: ReturnType<typeof genericAttributes>,
  ): readonly Buffer[] {
    const destination = readAttributes(attributeValue(attributes, 2)!);
    const [address, port] = [attributeValue(destination, 1)!, attributeValue(destination, 2)!];
    const place = `${address.toString('hex')} ${port.toString('hex')}`;
    const weight = attributeValue(destination, 4)?.readUInt32LE(0);
    const found = destinations.get(place);
    if (command === 'new destination') {
      if (found !== undefined) throw refusal(EEXIST);
      destinations.set(place, { place, weight: weight!, connections: 0 });
    } else if (found === undefined) throw refusal(ENOENT);
    else if (command === 'set destination') found.weight = weight!;
    else destinations.delete(place);
    const where = `${address.subarray(0, 4).join('.')}:${port.readUInt16BE(0)}`;
    this.changes.push(`${command} ${key} ${where}${weight === undefined ? '' : ` ${weight}`}`);
    return [];
  }
}

function refusal(errno: number): NetlinkError {
  return new NetlinkError('netlink generic: refused', errno, `error ${errno}`);
}

function listedService({ family, mark, scheduler }: PaperService): Buffer {
  const key =
    mark === 0
      ? [u16(1, family), u16(2, 6), attribute(3, Buffer.alloc(16)), u16(4, 80)]
      : [u16(1, family), u32(5, mark)];
  return genericPayload(1, 1, [nested(1, [...key, text(6, scheduler)])]);
}

function listedDestination({ place, weight, connections }: PaperDestination): Buffer {
  const [address, port] = place.split(' ').map((part) => Buffer.from(part, 'hex'));
  return genericPayload(5, 1, [
    nested(2, [
      ...[attribute(1, address!), attribute(2, port!), u32(3, 0), u32(4, weight)],
      ...[u32(7, 0), u32(8, connections), u32(9, 0)],
    ]),
  ]);
}
