import { X509Certificate } from 'node:crypto';
import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import { ApiError, type NodeRole } from '@swarm/api';
import { identify, type NodeIdentity } from '@swarm/identity';
import type { ManagerCalls } from '@swarm/manager/assembly';
import { identity, MemoryDatabase, nodeDraft, root, START_MS } from '@swarm/manager/testing';
import { MemoryDisk, MemoryNetwork } from '@swarm/raft';
import { Prng, VirtualClock } from '@swarm/sim';
import test from 'ava';
import { InProcessManager, ScriptedIssuer } from './support/in-process.js';

/** A node of these tests. */
interface Member {
  readonly nodeId: string;
  readonly address: string;
  readonly identity: NodeIdentity;
  manager: InProcessManager | undefined;
  /** Connections of its requests. */
  readonly connections: Set<ServerResponse>;
}

/**
 * Managers on virtual time that call each other. Every message takes 1 ms, so that each step of a join has a
 * moment of its own.
 */
class World {
  readonly clock = new VirtualClock(START_MS);
  readonly #random = new Prng(1, 'joins').fraction;
  readonly #network = new MemoryNetwork({
    schedule: (deliver) => void this.clock.setTimeout(deliver, 1),
    clock: this.clock,
    random: this.#random,
  });
  readonly #authority = root(START_MS);
  readonly #members = new Map<string, Member>();
  #raftId = 0;

  static async founded(): Promise<World> {
    const world = new World();
    const first = await world.#member('n1');
    await world.#open(first, 'found');
    await world.during(first.manager!.bootstrap(await world.#authority));
    for (const nodeId of ['n2', 'n3']) {
      await world.wish(nodeId, 'manager');
      await world.join(nodeId);
    }
    return world;
  }

  get leader(): InProcessManager {
    const leader = [...this.#members.values()].find(({ manager }) => manager?.manager.isLeader());
    if (leader === undefined) throw new Error('no manager leads');
    return leader.manager!;
  }

  leaderId(): string {
    return this.leader.manager.leader()!.nodeId;
  }

  /** Node ids of the voters, and of the learners with a question mark. */
  group(): string[] {
    return this.leader.manager
      .members()
      .map(({ nodeId, learner }) => `${nodeId}${learner === true ? '?' : ''}`)
      .sort();
  }

  /** Writes which role the node should have. */
  async wish(nodeId: string, Role: NodeRole): Promise<void> {
    await this.#member(nodeId);
    const { store } = this.leader.manager;
    const node = store.get('node', nodeId);
    const Spec = { Labels: {}, Role, Availability: 'active' } as const;
    const write = store.transact((transaction) => {
      if (node === undefined) transaction.create('node', nodeDraft(nodeId, { Role, Spec }));
      else transaction.updateSpec('node', { ...transaction.get('node', nodeId)!, Spec });
    });
    await this.during(write);
  }

  /** Starts a manager under a new id that asks to join; `answer` settles as time advances. */
  async begin(nodeId: string): Promise<{ readonly answer: Promise<void> }> {
    const member = await this.#member(nodeId);
    await this.#open(member, 'join');
    const answer = member.manager!.manager.joinGroup(this.#leaders());
    // A test that kills the manager does not look at it.
    answer.catch(() => {});
    return { answer };
  }

  async join(nodeId: string): Promise<void> {
    const member = await this.#member(nodeId);
    await this.#open(member, 'join');
    await this.during(member.manager!.manager.joinGroup(this.#leaders()));
  }

  /** Ends a manager at once, and its connections. */
  async kill(nodeId: string): Promise<void> {
    const member = await this.#member(nodeId);
    const { manager } = member;
    member.manager = undefined;
    for (const connection of member.connections) connection.emit('close');
    member.connections.clear();
    if (manager !== undefined) await this.during(manager.stop());
  }

  async close(): Promise<void> {
    for (const nodeId of this.#members.keys()) await this.kill(nodeId);
  }

  /** Advances time until the promise settles. */
  async during<T>(work: Promise<T>, limitMs = 20_000): Promise<T> {
    let isOver = false;
    const over = () => {
      isOver = true;
    };
    work.then(over, over);
    for (let ms = 0; !isOver; ms += 5) {
      if (ms > limitMs) throw new Error(`not over after ${limitMs} ms of virtual time`);
      await this.clock.advance(5);
    }
    return work;
  }

  async until(what: string, condition: () => boolean, limitMs: number): Promise<number> {
    let ms = 0;
    for (; !condition(); ms += 5) {
      if (ms > limitMs) throw new Error(`${what}: not within ${limitMs} ms, ${this.group()}`);
      await this.clock.advance(5);
    }
    return ms;
  }

  #leaders(): string[] {
    return [...this.#members.values()]
      .filter(({ manager }) => manager?.manager.isLeader())
      .map(({ address }) => address);
  }

  async #member(nodeId: string): Promise<Member> {
    let member = this.#members.get(nodeId);
    if (member === undefined) {
      const subject = { nodeId, role: 'manager' } as const;
      member = {
        nodeId,
        address: `${nodeId}.test:2377`,
        identity: await identity(await this.#authority, this.clock.now(), subject),
        manager: undefined,
        connections: new Set(),
      };
      this.#members.set(nodeId, member);
    }
    return member;
  }

  async #open(member: Member, kind: 'found' | 'join'): Promise<void> {
    this.#raftId += 1;
    const { nodeId, address } = member;
    const seeds =
      kind === 'join' ? this.leader.manager.status().members.map(({ info }) => info) : [];
    const opening = InProcessManager.open({
      ...{ nodeId, address, raftId: this.#raftId, identity: member.identity },
      start: kind === 'join' ? { kind, seeds } : { kind },
      ...{ clock: this.clock, random: this.#random, network: this.#network },
      disk: new MemoryDisk(),
      database: new MemoryDatabase(),
      issuer: new ScriptedIssuer(),
      calls: { call: (call) => this.#call(member, call) },
    });
    member.manager = await this.during(opening);
  }

  /** One request between managers, as their ports would serve it. */
  async #call(
    from: Member,
    { address, method, path, body }: Parameters<ManagerCalls['call']>[0],
  ): Promise<unknown> {
    await new Promise<void>((resolve) => void this.clock.setTimeout(resolve, 1));
    const to = [...this.#members.values()].find((each) => each.address === address);
    const route = to?.manager?.routes.node(method, path);
    if (to?.manager === undefined || route === undefined)
      throw new ApiError('TIMEOUT', `nobody answers at ${address}`);
    const { authority, trust } = to.manager.routes;
    const proof = identify(new X509Certificate(from.identity.certificate), trust());
    await authority.admit(proof, route.right);
    const request = new IncomingMessage(new Socket());
    const response = new ServerResponse(request);
    from.connections.add(response);
    try {
      return await route.handle({
        peer: { remoteAddress: '198.18.0.9', proof },
        ...{ request, response },
        raw: Buffer.from(JSON.stringify(body ?? {})),
        json: () => body,
      });
    } finally {
      from.connections.delete(response);
    }
  }
}

const THREE = ['n1', 'n2', 'n3'];

test('a manager that dies at any moment of its join, and is demoted, holds up nobody', async (t) => {
  t.timeout(240_000);
  const world = await World.founded();
  const stages = new Set<string>();
  for (let diesAtMs = 0; diesAtMs <= 60; diesAtMs += 3) {
    const when = `dies after ${diesAtMs} ms`;
    await world.wish('dead', 'manager');
    await world.begin('dead');
    await world.clock.advance(diesAtMs);
    stages.add(world.group().join());
    await world.kill('dead');
    // Another one joins at once, whatever is left of the first.
    await world.wish('other', 'manager');
    const before = world.clock.monotonicMs();
    await world.join('other');
    t.true(world.clock.monotonicMs() - before < 2_000, `${when}: the other joins in time`);
    await world.wish('dead', 'worker');
    await world.until(
      `${when}: the dead one is out`,
      () => !/dead/.test(world.group().join()),
      6_000,
    );
    await world.wish('other', 'worker');
    await world.until(`${when}: three are left`, () => world.group().length === 3, 6_000);
    await world.kill('other');
    t.is(world.leader.manager.store.get('node', 'dead')?.RaftID, undefined, when);
  }
  t.deepEqual(world.group(), THREE);
  t.true(stages.size >= 3, `died in: ${[...stages].join('; ')}`);
  await world.close();
});

test('a node whose connection ends while it copies the state is dropped at once, not after a minute', async (t) => {
  const world = await World.founded();
  await world.wish('dead', 'manager');
  await world.begin('dead');
  await world.until('it is a learner', () => world.group().includes('dead?'), 5_000);
  await world.kill('dead');
  const ms = await world.until('it is out', () => world.group().length === 3, 60_000);
  t.true(ms < 1_000, `${ms} ms`);
  await world.close();
});

test('two nodes that are promoted at once both become managers', async (t) => {
  const world = await World.founded();
  for (const nodeId of ['n4', 'n5']) await world.wish(nodeId, 'manager');
  const answers = [await world.begin('n4'), await world.begin('n5')];
  await world.during(Promise.all(answers.map(({ answer }) => answer)));
  t.deepEqual(world.group(), [...THREE, 'n4', 'n5']);
  for (const nodeId of ['n4', 'n5'])
    await world.until(
      'it is written',
      () => world.leader.manager.store.get('node', nodeId)?.RaftID !== undefined,
      1_000,
    );
  await world.close();
});

test('a manager is demoted while another joins, and neither waits for the other', async (t) => {
  const world = await World.founded();
  await world.wish('n4', 'manager');
  await world.join('n4');
  const follower = world.group().find((nodeId) => nodeId !== 'n5' && nodeId !== world.leaderId())!;
  await world.wish('n5', 'manager');
  const { answer } = await world.begin('n5');
  await world.wish(follower, 'worker');
  await world.during(answer, 3_000);
  await world.until('it is out', () => !world.group().includes(follower), 3_000);
  t.true(world.group().includes('n5'));
  await world.close();
});
