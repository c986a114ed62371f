import type { Node, Task } from '@swarm/api';
import { silentLogger } from '@swarm/api';
import { identity, MemoryDatabase, root, START_MS } from '@swarm/manager/testing';
import { MemoryDisk } from '@swarm/raft';
import { Prng, VirtualClock } from '@swarm/sim';
import { Agent } from '@swarm/worker';
import { FakeMesh, FakeRuntime, MemoryAgentDisk } from '@swarm/worker/testing';
import test, { type ExecutionContext } from 'ava';
import { InProcessManager, memoryNetwork, ScriptedIssuer } from './support/in-process.js';

const SEED = 1;
const RAFT_ID = 7;
const ADDRESS = { nodeId: 'first', address: '198.18.0.1:2377' };

/** A whole node: a manager that leads alone, and the agent that it assigns tasks to. */
class WholeNode {
  readonly clock = new VirtualClock(START_MS);
  readonly runtime = new FakeRuntime();
  readonly mesh = new FakeMesh();
  readonly agentDisk = new MemoryAgentDisk();
  readonly issuer = new ScriptedIssuer();
  readonly #random = new Prng(SEED, 'node').fraction;
  #identity!: Awaited<ReturnType<typeof identity>>;
  #manager!: InProcessManager;
  #agent!: Agent;

  async bootstrap(): Promise<void> {
    const { clock, issuer } = this;
    const random = this.#random;
    const authority = await root(clock.now());
    this.#identity = await identity(authority, clock.now(), { nodeId: 'first', role: 'manager' });
    this.#manager = await this.during(
      InProcessManager.open({
        ...{ nodeId: 'first', raftId: RAFT_ID, identity: this.#identity, clock, random, issuer },
        start: { kind: 'found' },
        network: memoryNetwork(clock, random),
        disk: new MemoryDisk(),
        database: new MemoryDatabase(),
      }),
    );
    await this.during(this.#manager.bootstrap(authority));
  }

  async startAgent(): Promise<void> {
    this.#agent = new Agent({
      nodeId: 'first',
      instance: 'run1',
      runtime: this.runtime,
      mesh: this.mesh,
      connect: () => this.#manager.dial(this.#identity),
      managers: this.agentDisk,
      storage: this.agentDisk.open(),
      dataPathAddr: '198.18.0.1',
      clock: this.clock,
      random: this.#random,
      logger: silentLogger,
    });
    await this.during(this.#agent.start([ADDRESS]));
    await this.clock.until(() => this.#agent.connected, 'the agent has a session');
  }

  stopAgent(): Promise<void> {
    return this.during(this.#agent.close());
  }

  stopManager(): Promise<void> {
    return this.during(this.#manager.stop());
  }

  /** Lets time pass until the promise is settled. */
  async during<T>(work: Promise<T>): Promise<T> {
    let isOver = false;
    const over = (): void => {
      isOver = true;
    };
    work.then(over, over);
    await this.clock.until(() => isOver, 'the work is over');
    return work;
  }

  // biome-ignore lint/suspicious/noExplicitAny: tests look into it freely
  async ask(t: ExecutionContext, method: string, path: string, body?: object): Promise<any> {
    const answer = await this.during(this.#manager.ask(method, `/v1.50${path}`, body));
    t.true(answer.status < 300, `${method} ${path}: ${JSON.stringify(answer.json)}`);
    return answer.json;
  }

  join(name: string): Promise<unknown> {
    return this.during(this.#manager.requestCertificate(name));
  }

  /** Lets time pass until the service has so many tasks that run, and no others that should. */
  async untilRunning(t: ExecutionContext, count: number): Promise<readonly Task[]> {
    for (let attempt = 0; attempt < 100; attempt += 1) {
      const tasks: Task[] = await this.ask(t, 'GET', '/tasks');
      const wanted = tasks.filter(({ DesiredState }) => DesiredState === 'running');
      const running = wanted.filter(({ Status }) => Status.State === 'running');
      if (running.length === count && wanted.length === count) return running;
      await this.clock.advance(100);
    }
    throw new Error(`no ${count} tasks run: ${JSON.stringify(await this.ask(t, 'GET', '/tasks'))}`);
  }
}

const WEB = {
  Name: 'web',
  TaskTemplate: { ContainerSpec: { Image: 'host', Args: ['sleep', '600'] } },
  EndpointSpec: { Ports: [{ Protocol: 'tcp', TargetPort: 80, PublishedPort: 8080 }] },
};

test('manager and agent of one node run tasks on virtual time, with nothing of the host', async (t) => {
  const node = new WholeNode();
  const { clock, runtime, mesh, agentDisk } = node;
  await node.bootstrap();
  await node.startAgent();

  const { ID } = await node.ask(t, 'POST', '/services/create', {
    ...WEB,
    Mode: { Replicated: { Replicas: 3 } },
  });
  const started = await node.untilRunning(t, 3);
  for (const task of started) t.like(task, { NodeID: 'first', ServiceID: ID });
  const ids = (tasks: readonly Task[]) => tasks.map((task) => task.ID).sort();
  t.deepEqual([...runtime.tasks.keys()].sort(), ids(started));
  await clock.until(() => mesh.attached.size === 3, 'the mesh has all tasks');
  const endpoints = () =>
    mesh.applied.at(-1)?.ports.find(({ publishedPort }) => publishedPort === 8080)?.endpoints
      .length ?? 0;
  await clock.until(() => endpoints() === 3, 'the mesh sends traffic to all tasks');

  const { Version } = await node.ask(t, 'GET', `/services/${ID}`);
  await node.ask(t, 'POST', `/services/${ID}/update?version=${Version.Index}`, {
    ...WEB,
    Mode: { Replicated: { Replicas: 1 } },
  });
  const [kept] = await node.untilRunning(t, 1);
  await clock.until(() => runtime.tasks.size === 1, 'the others have stopped');
  t.deepEqual([...runtime.tasks.keys()], [kept!.ID]);
  const stopped = runtime.calls.flatMap((call) => /^stop (\S+)/.exec(call)?.[1] ?? []);
  t.deepEqual([...new Set([...stopped, kept!.ID])].sort(), ids(started));
  await clock.until(() => endpoints() === 1, 'the mesh sends traffic to one task');

  // The task runs on while its agent is away, and the next agent takes it over without a new start.
  const startsBefore = runtime.calls.filter((call) => call.startsWith('start ')).length;
  await node.stopAgent();
  t.deepEqual(agentDisk.tasks, [kept!.ID]);
  await clock.advance(500);
  await node.startAgent();
  t.deepEqual(ids(await node.untilRunning(t, 1)), [kept!.ID]);
  t.is(runtime.calls.filter((call) => call.startsWith('start ')).length, startsBefore);

  // It ends by itself: the next takes its place.
  runtime.exit(kept!.ID, { kind: 'exit', code: 1 });
  await clock.advance(10_000);
  const [next] = await node.untilRunning(t, 1);
  t.not(next!.ID, kept!.ID);

  await node.stopAgent();
  await node.stopManager();
  await clock.advance(1_000);
  t.is(clock.pending, 0, 'nothing waits for a node that has stopped');
});

test('a node joins with a certificate of the issuer that was passed in', async (t) => {
  const node = new WholeNode();
  await node.bootstrap();
  await node.join('second');
  t.deepEqual(node.issuer.issued, ['worker']);
  const nodes: Node[] = await node.ask(t, 'GET', '/nodes');
  t.deepEqual(nodes.map(({ Description }) => Description?.Hostname).sort(), ['first', 'second']);
  await node.stopManager();
  t.is(node.clock.pending, 0);
});

test('the same seed makes the same ids', async (t) => {
  const idOf = async () => {
    const node = new WholeNode();
    await node.bootstrap();
    const { ID } = await node.ask(t, 'POST', '/services/create', {
      ...WEB,
      Mode: { Replicated: { Replicas: 2 } },
    });
    await node.startAgent();
    const tasks = await node.untilRunning(t, 2);
    await node.stopAgent();
    await node.stopManager();
    return [ID, ...tasks.map((task) => task.ID).sort()];
  };
  t.deepEqual(await idOf(), await idOf());
});
