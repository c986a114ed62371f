import { join } from 'node:path';
import type { MemberInfo } from '@swarm/raft';
import { makeIdentities } from '../bench/raft/trio.js';
import { MemberHost, type HostOptions } from './host.js';
import type { ChangeAnswer, MemberState, Started, StateImage } from './member-protocol.js';
import { Network } from './network.js';
import type { Patience } from './patience.js';

/** A running member reports its state within this time, unless it is paused. */
const STATE_MS = 2_000;
/** Without faults, and with two free processors, these take a few seconds. */
const LEADER_LIMIT_MS = 30_000;
const CHANGE_LIMIT_MS = 90_000;
const SETTLE_LIMIT_MS = 60_000;
const NEW_IDS_LIMIT = 5;

/** A leader made the requested change. */
const DONE = 'done';
/** The change may not or cannot happen under this id any more. */
const ID_IS_BURNT = new Set(['RAFT_TIMEOUT', 'RAFT_MEMBER_REMOVED', 'RAFT_MEMBER_NOT_FOUND']);

export interface GroupOptions extends Pick<HostOptions, 'breakage' | 'onTold' | 'onDeath'> {
  readonly members: number;
  readonly folder: string;
  readonly patience: Patience;
}

/** The hosts, what is between them, and what an operator does with them. */
export class MemberGroup {
  readonly hosts: readonly MemberHost[];
  readonly network: Network;
  private readonly patience: Patience;
  private lastId: number;

  private constructor(hosts: readonly MemberHost[], network: Network, patience: Patience) {
    this.hosts = hosts;
    this.network = network;
    this.patience = patience;
    this.lastId = hosts.length;
  }

  /** Makes everything except the processes: see `bootstrap`. */
  static async make(options: GroupOptions): Promise<MemberGroup> {
    const { members, folder, patience, breakage, onTold, onDeath } = options;
    const nodeIds = Array.from({ length: members }, (_, place) => `host-${place + 1}`);
    const identities = await makeIdentities(nodeIds.map((nodeId) => ({ nodeId })));
    const network = await Network.up(nodeIds);
    const hosts = nodeIds.map((nodeId, place) => {
      const routes = network.routes[place]!;
      const identity = identities[place]!;
      return new MemberHost({
        ...{ place, nodeId, identity, folder, routes, breakage, onTold },
        onDeath: (host, how) => {
          network.setTarget(host.place, undefined);
          onDeath(host, how);
        },
      });
    });
    return new MemberGroup(hosts, network, patience);
  }

  async bootstrap(): Promise<void> {
    for (const [place, host] of this.hosts.entries()) host.id = place + 1;
    const founders = this.hosts.map(({ info }) => info);
    await Promise.all(this.hosts.map((host) => this.startWith(host, { founders })));
    await this.leader();
  }

  /** Starts a host again, on the content of its folder. */
  start(host: MemberHost): Promise<Started> {
    return this.startWith(host, {});
  }

  /** Restarts a host on an undamaged log. */
  async restart(host: MemberHost): Promise<void> {
    const started = await this.start(host);
    if ('port' in started) return;
    throw new Error(`${host.nodeId} does not start after a mere crash: ${started.why}`);
  }

  async kill(host: MemberHost): Promise<void> {
    await host.kill();
    this.network.setTarget(host.place, undefined);
  }

  async terminate(host: MemberHost): Promise<void> {
    await host.terminate();
    this.network.setTarget(host.place, undefined);
  }

  /** The states of those that run and answer. */
  async states(): Promise<(readonly [MemberHost, MemberState])[]> {
    const asked = this.hosts.filter(({ isUp, isPaused }) => isUp && !isPaused);
    const states = await Promise.all(
      asked.map((host) =>
        this.patience.within(
          STATE_MS,
          host.call<MemberState>('state').catch(() => undefined),
        ),
      ),
    );
    return asked.flatMap((host, i) =>
      states[i] === undefined ? [] : [[host, states[i]] as const],
    );
  }

  /** The leader of the highest term; undefined without a leader. */
  async leaderNow(): Promise<MemberHost | undefined> {
    const states = await this.states();
    const leaders = states.filter(([, { role }]) => role === 'leader');
    leaders.sort(([, a], [, b]) => b.term - a.term);
    return leaders[0]?.[0];
  }

  leader(): Promise<MemberHost> {
    return this.patience.until('there is a leader', () => this.leaderNow(), LEADER_LIMIT_MS);
  }

  /** Removes a member for good; its process may keep running. */
  async remove(host: MemberHost): Promise<void> {
    await this.change('remove', host.id, new Set([DONE]));
  }

  /**
   * Makes a host whose log or folder is lost join again, as in docs/recovery.md: its member is
   * removed, its folder emptied, and it comes back as a new member.
   */
  async replace(host: MemberHost): Promise<void> {
    await this.kill(host);
    await this.remove(host);
    for (let tries = 0; tries < NEW_IDS_LIMIT; tries++) {
      await this.kill(host);
      await host.wipe();
      host.id = ++this.lastId;
      const seeds = this.hosts.filter((other) => other !== host).map(({ info }) => info);
      const started = await this.startWith(host, { seeds });
      if ('refused' in started) throw new Error(`an empty folder is refused: ${started.why}`);
      const code = await this.change('add', host.info, new Set([DONE, ...ID_IS_BURNT]));
      if (code === DONE) {
        await this.patience.until(
          `member ${host.id} is a voter`,
          async () => (await host.call<MemberState>('state')).voters.includes(host.id),
          SETTLE_LIMIT_MS,
        );
        return;
      }
      await this.change('remove', host.id, new Set([DONE, 'RAFT_MEMBER_NOT_FOUND']));
    }
    throw new Error(`${host.nodeId} cannot join under any of ${NEW_IDS_LIMIT} new ids`);
  }

  async transfer(from: MemberHost, to: MemberHost): Promise<ChangeAnswer | undefined> {
    return from.call<ChangeAnswer>('transfer', to.id).catch(() => undefined);
  }

  /** Waits until all hosts run and vote, nobody else votes, and all have what is committed now. */
  async settled(): Promise<void> {
    const ids = this.hosts.map(({ id }) => id).sort((a, b) => a - b);
    await this.patience.until(
      'all members have everything',
      async () => {
        const states = await this.states();
        const commit = Math.max(...states.map(([, state]) => state.commit));
        return (
          states.length === this.hosts.length &&
          states.every(
            ([, { applied, voters }]) => applied >= commit && voters.join() === ids.join(),
          )
        );
      },
      SETTLE_LIMIT_MS,
    );
  }

  /** Reads the whole state of a member, as a client reads. */
  image(host: MemberHost): Promise<StateImage> {
    return this.patience.until(
      `${host.nodeId} can be read`,
      () => host.call<StateImage>('image'),
      LEADER_LIMIT_MS,
    );
  }

  async down(): Promise<void> {
    await Promise.all(this.hosts.map((host) => host.close()));
    await this.network.down();
  }

  private async startWith(
    host: MemberHost,
    who: { readonly founders?: readonly MemberInfo[]; readonly seeds?: readonly MemberInfo[] },
  ): Promise<Started> {
    const started = await host.start(who);
    if ('port' in started) this.network.setTarget(host.place, started.port);
    return started;
  }

  /** Asks leaders until one gives an answer that counts. @returns its code */
  private change(
    method: 'add' | 'remove',
    argument: MemberInfo | number,
    final: ReadonlySet<string>,
  ): Promise<string> {
    return this.patience.until(
      `a leader does ${method} ${JSON.stringify(argument)}`,
      async () => {
        const leader = await this.leaderNow();
        if (leader === undefined) throw new Error('nobody leads');
        const { code, message } = await leader.call<ChangeAnswer>(method, argument);
        if (final.has(code)) return code;
        throw new Error(`${code} ${message}`);
      },
      CHANGE_LIMIT_MS,
    );
  }
}

/** Returns where the member's log is, in the folder of its host. */
export function logFolder(host: MemberHost): string {
  return join(host.folder, 'log');
}
