import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Lab } from './lab.js';
import { type ClearPacket, readPackets } from './packets.js';

const PORTS = { vxlan: 4789, wireguard: 4790 } as const;

/** What nobody may see. */
export interface Secrets {
  /** What addresses begin with, as text; IPv6 with all digits. */
  readonly prefixes: readonly string[];
  readonly texts: readonly string[];
}

/** What passed the wire. */
export interface Seen {
  /** Packets that show a secret: which one, and the addresses of their headers. */
  readonly clear: readonly string[];
  readonly packets: number;
  /** Encrypted packets between tasks. */
  readonly sealed: number;
  readonly largestBytes: number;
}

/** Everything that passes between the hosts of a lab. */
export class WireTap {
  readonly #child: ChildProcess;
  readonly #file: string;

  private constructor(child: ChildProcess, file: string) {
    this.#child = child;
    this.#file = file;
  }

  static async start({ state }: Lab): Promise<WireTap> {
    const file = join(state.folder, 'wire.pcap');
    const child = spawn(
      'nsenter',
      [
        ...[`--net=/run/netns/${state.bridge}`, 'tcpdump', '-i', 'br0', '-U', '--immediate-mode'],
        ...['-B', '16384', '-s', '0', '-Z', 'root', '-w', file],
      ],
      { stdio: ['ignore', 'ignore', 'pipe'] },
    );
    // It says that it listens.
    await once(child.stderr!, 'data');
    return new WireTap(child, file);
  }

  async stop(secrets: Secrets): Promise<Seen> {
    const ended = once(this.#child, 'exit');
    this.#child.kill('SIGINT');
    await ended;
    const packets = readPackets(await readFile(this.#file), PORTS);
    await rm(this.#file);
    const clear = packets.flatMap((packet) => shown(packet, secrets) ?? []);
    return {
      clear: [...new Set(clear)],
      packets: packets.length,
      sealed: packets.filter(({ isSealed }) => isSealed).length,
      largestBytes: Math.max(0, ...packets.map(({ bytes }) => bytes.length)),
    };
  }
}

function shown(
  { addresses, bytes }: ClearPacket,
  { prefixes, texts }: Secrets,
): string | undefined {
  const way = addresses.join(' ');
  const text = texts.find((one) => bytes.includes(one));
  if (text !== undefined) return `"${text}" in ${way}`;
  const isShown = addresses.some((one) => prefixes.some((prefix) => one.startsWith(prefix)));
  return isShown ? way : undefined;
}
