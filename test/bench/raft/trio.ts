import { randomBytes } from 'node:crypto';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { createRootCA, issueCertificate } from '@swarm/manager';
import { type MemberInfo, ReadMode } from '@swarm/raft';
import { createKeyRequest, type NodeIdentity, readRequest } from '@swarm/identity';
import { until } from '../../lab/index.js';
import { Child } from './child.js';
import { CLUSTER_ID } from './cluster-id.js';
import type { MemberStart, MemberState } from './member.js';
import type { Spent } from './probes.js';
import type { ReadOrder, ReadResult } from './read-load.js';

const MEMBERS = 3;
const CERTIFICATE_LIFE_MS = 24 * 60 * 60 * 1000;

/** Ports that are currently free. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer();
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      return server;
    }),
  );
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

export class TrioMember {
  readonly start: MemberStart;
  child: Child | undefined;
  /** Loaded, but not taking part yet. */
  private booting: Child | undefined;
  private readonly flags: readonly string[];

  /** @param flags for Node, for example `--cpu-prof` */
  constructor(start: MemberStart, flags: readonly string[]) {
    this.start = start;
    this.flags = flags;
  }

  get id(): number {
    return this.start.id;
  }

  get clientPort(): number {
    return this.start.clientPort;
  }

  async run(): Promise<void> {
    const start = await this.load();
    await start();
  }

  /**
   * Starts the program, which takes a while to load. @returns a function that makes it take part
   */
  async load(): Promise<() => Promise<void>> {
    const child = new Child('member.js', { flags: this.flags });
    this.booting = child;
    await child.call('loaded');
    return async () => {
      await child.call('start', this.start);
      this.child = child;
      this.booting = undefined;
    };
  }

  async kill(): Promise<void> {
    await this.child?.kill();
    await this.booting?.kill();
    this.child = undefined;
    this.booting = undefined;
  }

  /** Undefined while it does not run. */
  state(): Promise<MemberState | undefined> {
    return this.child?.call<MemberState>('state') ?? Promise.resolve(undefined);
  }

  spent(): Promise<Spent> {
    return this.child!.call<Spent>('spent');
  }

  read(order: ReadOrder): Promise<ReadResult> {
    return this.child!.call<ReadResult>('read', order);
  }

  async transfer(): Promise<void> {
    await this.child!.call('transfer');
  }
}

export interface TrioOptions {
  /** For Node, for example `--cpu-prof`. */
  readonly flags?: readonly string[];
  readonly readMode?: ReadMode;
}

/** Three members of ours on loopback, as processes. */
export class Trio {
  readonly members: readonly TrioMember[];

  private constructor(members: readonly TrioMember[]) {
    this.members = members;
  }

  static async up(
    folder: string,
    { flags = [], readMode = ReadMode.Quorum }: TrioOptions = {},
  ): Promise<Trio> {
    const ports = await freePorts(2 * MEMBERS);
    const infos: MemberInfo[] = ports.slice(0, MEMBERS).map((port, i) => ({
      id: i + 1,
      address: `127.0.0.1:${port}`,
      nodeId: `bench-node-${i + 1}`,
    }));
    const identities = await makeIdentities(infos);
    const trio = new Trio(
      infos.map(({ id }, i) => {
        const start: MemberStart = {
          id,
          members: infos,
          folder: join(folder, `member-${id}`),
          identity: identities[i]!,
          clientPort: ports[MEMBERS + i]!,
          readMode,
        };
        return new TrioMember(start, flags);
      }),
    );
    try {
      await Promise.all(trio.members.map((member) => member.run()));
      await trio.leader();
    } catch (error) {
      await trio.down();
      throw error;
    }
    return trio;
  }

  /** The leader, once every running member knows it. */
  async leader(): Promise<TrioMember> {
    return until('a leader is known to all', async () => {
      const states = await Promise.all(this.members.map((member) => member.state()));
      const leader = this.members.find((_, i) => states[i]?.leads);
      const known = states.every((state) => state === undefined || state.leader === leader?.id);
      return known ? leader : undefined;
    });
  }

  /** Waits until every member has applied what is committed now. */
  async settled(): Promise<void> {
    const leader = await this.leader();
    const commit = (await leader.state())!.commit;
    await until('all members have caught up', async () => {
      const states = await Promise.all(this.members.map((member) => member.state()));
      return states.every((state) => state === undefined || state.applied >= commit);
    });
  }

  async down(): Promise<void> {
    await Promise.all(this.members.map((member) => member.kill()));
  }
}

/** A certificate for each member, of one new root. */
export async function makeIdentities(
  members: readonly Pick<MemberInfo, 'nodeId'>[],
): Promise<NodeIdentity[]> {
  const context = {
    clock: { now: () => Date.now() },
    randomBytes: (size: number) => randomBytes(size),
  };
  const root = await createRootCA(context);
  return Promise.all(
    members.map(async ({ nodeId }) => {
      const { key, csr } = await createKeyRequest();
      const subject = { nodeId, role: 'manager', clusterId: CLUSTER_ID } as const;
      const publicKey = await readRequest(csr);
      const { certificate } = await issueCertificate(
        context,
        root,
        publicKey,
        subject,
        CERTIFICATE_LIFE_MS,
      );
      return { rootCertificate: root.certificate, certificate, key };
    }),
  );
}
