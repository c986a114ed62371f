import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Everything that passes a host's wire. */
export class Capture {
  readonly #child: ChildProcess;
  readonly #folder: string;

  private constructor(child: ChildProcess, folder: string) {
    this.#child = child;
    this.#folder = folder;
  }

  static async start(netns: string): Promise<Capture> {
    const folder = mkdtempSync(join(tmpdir(), 'swarm-capture-'));
    const child = spawn(
      'nsenter',
      [
        ...[`--net=/run/netns/${netns}`, 'tcpdump', '-i', 'eth0', '-U', '--immediate-mode'],
        ...['-s', '0', '-Z', 'root', '-w', join(folder, 'packets')],
      ],
      { stdio: ['ignore', 'ignore', 'pipe'] },
    );
    await once(child.stderr!, 'data');
    return new Capture(child, folder);
  }

  /** The bytes of all packets. */
  async stop(): Promise<Buffer> {
    this.#child.kill('SIGINT');
    await once(this.#child, 'exit');
    const bytes = readFileSync(join(this.#folder, 'packets'));
    rmSync(this.#folder, { recursive: true });
    return bytes;
  }
}

/** Lengths of the packets of a capture, in its native byte order. */
export function packetSizes(capture: Buffer): number[] {
  const sizes: number[] = [];
  for (let at = 24; at + 16 <= capture.length; ) {
    sizes.push(capture.readUInt32LE(at + 12));
    at += 16 + capture.readUInt32LE(at + 8);
  }
  return sizes;
}
