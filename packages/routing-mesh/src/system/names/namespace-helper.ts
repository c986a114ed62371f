import { spawn } from 'node:child_process';
import type { Socket as UdpSocket } from 'node:dgram';
import type { Server } from 'node:net';
import { fileURLToPath } from 'node:url';
import type { IpAddress } from '@swarm/api';

/** A slow machine starts Node.js in about a second. Less than the daemon waits for the resolver. */
const HELPER_LIMIT_MS = 4_000;
const ERROR_LIMIT_CHARS = 2048;

/**
 * Binds sockets in a namespace by a program that enters it, hands them over and ends: for hosts without koffi.
 * @throws when the namespace is gone
 */
export function bindByHelper(
  netns: string,
  address: IpAddress,
  port: number,
): Promise<{ udp: UdpSocket; tcp: Server }> {
  const script = fileURLToPath(new URL('./bind-in-namespace.js', import.meta.url));
  const args = [`--net=${netns}`, process.execPath, script, address, String(port)];
  const child = spawn('nsenter', args, { stdio: ['ignore', 'ignore', 'pipe', 'ipc'], cwd: '/' });
  return new Promise((resolve, reject) => {
    let udp: UdpSocket | undefined;
    let tcp: Server | undefined;
    let errors = '';
    const timer = setTimeout(() => child.kill('SIGKILL'), HELPER_LIMIT_MS);
    child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      errors = (errors + text).slice(0, ERROR_LIMIT_CHARS);
    });
    child.on('message', (kind, handle) => {
      if (kind === 'udp') udp = handle as UdpSocket;
      else if (kind === 'tcp') tcp = handle as Server;
      if (udp !== undefined && tcp !== undefined) child.send('done');
    });
    child.once('error', reject);
    child.once('close', () => {
      clearTimeout(timer);
      if (udp !== undefined && tcp !== undefined) resolve({ udp, tcp });
      else {
        udp?.close();
        tcp?.close();
        reject(
          new Error(`cannot listen in the namespace ${netns}: ${errors.trim() || 'no answer'}`),
        );
      }
    });
  });
}
