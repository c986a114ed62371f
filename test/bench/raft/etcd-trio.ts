import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { until } from '../../lab/index.js';
import { freePorts } from './trio.js';

const MEMBERS = 3;
const PROGRAM = 'etcd';

interface EtcdStatus {
  readonly header: { readonly member_id: string };
  readonly leader?: string;
}

/** Three etcd processes on loopback with their default settings: synced, and without TLS. */
export class EtcdTrio {
  private readonly processes: readonly ChildProcess[];
  private readonly clientPorts: readonly number[];

  private constructor(processes: readonly ChildProcess[], clientPorts: readonly number[]) {
    this.processes = processes;
    this.clientPorts = clientPorts;
  }

  /** @throws when there is no etcd: on Debian it is in the package etcd-server */
  static async up(folder: string): Promise<EtcdTrio> {
    await mkdir(folder, { recursive: true });
    const ports = await freePorts(2 * MEMBERS);
    const clientPorts = ports.slice(MEMBERS);
    const url = (port: number) => `http://127.0.0.1:${port}`;
    const cluster = Array.from({ length: MEMBERS }, (_, i) => `e${i}=${url(ports[i]!)}`).join(',');
    const processes = clientPorts.map((clientPort, i) =>
      spawn(
        PROGRAM,
        [
          ...['--name', `e${i}`, '--data-dir', join(folder, `e${i}`), '--log-level', 'error'],
          ...['--listen-peer-urls', url(ports[i]!)],
          ...['--initial-advertise-peer-urls', url(ports[i]!)],
          ...['--listen-client-urls', url(clientPort), '--advertise-client-urls', url(clientPort)],
          ...['--initial-cluster', cluster, '--initial-cluster-state', 'new'],
        ],
        { stdio: ['ignore', 'ignore', 'ignore'] },
      ),
    );
    const trio = new EtcdTrio(processes, clientPorts);
    try {
      await Promise.all(processes.map((process) => once(process, 'spawn')));
      await trio.leaderPort();
    } catch (error) {
      await trio.down();
      throw error;
    }
    return trio;
  }

  /** The client port of the leader. */
  async leaderPort(): Promise<number> {
    return until('etcd has a leader', async () => {
      for (const port of this.clientPorts) {
        const status = await this.status(port);
        if (status?.leader !== undefined && status.leader === status.header.member_id) return port;
      }
      return undefined;
    });
  }

  private async status(port: number): Promise<EtcdStatus | undefined> {
    try {
      const url = `http://127.0.0.1:${port}/v3/maintenance/status`;
      const reply = await fetch(url, { method: 'POST', body: '{}' });
      return reply.ok ? ((await reply.json()) as EtcdStatus) : undefined;
    } catch {
      return undefined;
    }
  }

  async down(): Promise<void> {
    await Promise.all(
      this.processes.map(async (process) => {
        if (process.pid === undefined || process.exitCode !== null) return;
        const ended = once(process, 'exit');
        process.kill('SIGKILL');
        await ended;
      }),
    );
  }
}
