import test from 'ava';
import fc from 'fast-check';
import { groupsOf } from '@swarm/manager/assembly';
import {
  ADDRESS_SHARE,
  AGENT_SHARE,
  CONNECTION_CLASSES,
  CONNECTIONS_LIMITS,
  ConnectionBudgets,
  DESCRIPTORS_NEEDED,
  limitsFor,
  MANAGER_CLIENT_SHARE,
  RAFT_SHARE,
  WORKER_CLIENT_SHARE,
} from '../../src/port/connection-budgets.js';
import { Crowd } from '../../src/port/crowd.js';

const LIMIT = CONNECTIONS_LIMITS.unproved;
const worker = (nodeId: string) => ({ nodeId, role: 'worker' }) as const;
const manager = (nodeId: string) => ({ nodeId, role: 'manager' }) as const;

/** Connections are named by numbers. */
class Port {
  readonly budgets = new ConnectionBudgets<number>();
  readonly cut: number[] = [];
  #next = 0;

  arrive(address: string, isNodeAddress = false): number {
    const id = this.#next++;
    this.#note(this.budgets.arrive(id, groupsOf(address), isNodeAddress));
    return id;
  }

  session(nodeId: string, name: 'agent' | 'raft' = 'agent'): number {
    const id = this.arrive('198.18.0.1', true);
    this.#note(this.budgets.prove(id, name === 'raft' ? manager(nodeId) : worker(nodeId)));
    this.#note(this.budgets.takeOver(id, name));
    return id;
  }

  client(nodeId: string, role: 'manager' | 'worker'): number {
    const id = this.arrive('198.18.0.1', true);
    this.#note(this.budgets.prove(id, { nodeId, role }));
    return id;
  }

  isIn(id: number): boolean {
    return this.budgets.classOf(id) !== undefined;
  }

  #note(goes: number | undefined): void {
    if (goes !== undefined) this.cut.push(goes);
  }
}

test('one address has its share, and its oldest goes', (t) => {
  const port = new Port();
  const other = port.arrive('198.19.0.1');
  const ids = Array.from({ length: ADDRESS_SHARE + 3 }, () => port.arrive('198.18.0.1'));
  t.deepEqual(port.cut, ids.slice(0, 3));
  t.is(port.budgets.count('unproved'), ADDRESS_SHARE + 1);
  t.true(port.isIn(other));
});

test('addresses of one IPv6 /64 are one host', (t) => {
  const port = new Port();
  for (let i = 1; i <= ADDRESS_SHARE + 10; i++) port.arrive(`fd00:1:2:3::${i.toString(16)}`);
  t.is(port.budgets.count('unproved'), ADDRESS_SHARE);
  // As an IPv6 socket spells an IPv4 peer, it is the same host.
  t.deepEqual(groupsOf('::ffff:198.18.0.1'), groupsOf('198.18.0.1'));
  t.deepEqual(groupsOf('fe80::1%eth0'), groupsOf('fe80::2'));
});

test('a flood from the 10,000 networks of a /48 leaves everybody else alone', (t) => {
  const port = new Port();
  const honest = port.arrive('fd00:ffff:2:3::1');
  const honest4 = port.arrive('198.18.0.1');
  for (let i = 0; i < 10_000; i++) port.arrive(`fd00:1:2:${i.toString(16)}::1`);
  const fresh = port.arrive('fd00:ffff:9::1');
  for (let i = 0; i < 10_000; i++) port.arrive(`fd00:1:2:${i.toString(16)}::2`);
  t.is(port.budgets.count('unproved'), LIMIT);
  for (const id of [honest, honest4, fresh]) t.true(port.isIn(id));
});

test('in a flood from as many networks as places, a newcomer stays until all others are newer', (t) => {
  const port = new Port();
  const spread = (count: number, offset: number) => {
    for (let i = 0; i < count; i++) port.arrive(`10.${(i + offset) >> 8}.${(i + offset) & 255}.1`);
  };
  spread(LIMIT, 0);
  const fresh = port.arrive('198.19.7.7');
  spread(LIMIT - 1, LIMIT);
  t.true(port.isIn(fresh));
  spread(1, 3 * LIMIT);
  t.false(port.isIn(fresh));
});

test('strangers take no room from returning or proved nodes', (t) => {
  const port = new Port();
  const returning = port.arrive('198.18.0.2', true);
  const agent = port.session('n');
  const raft = port.session('m', 'raft');
  const client = port.client('m', 'manager');
  for (let i = 0; i < 3 * LIMIT; i++) port.arrive(`10.${i >> 8}.${i & 255}.1`);
  for (const id of [returning, agent, raft, client]) t.true(port.isIn(id));
});

test('10,000 agents come back at once, and have room', (t) => {
  const port = new Port();
  for (let i = 0; i < 10_000; i++) port.arrive(`10.${i >> 8}.${i & 255}.1`, true);
  t.deepEqual(port.cut, []);
  t.is(port.budgets.count('returning'), 10_000);
  for (let i = 0; i < 10_000; i++) {
    t.is(port.budgets.prove(i, worker(`n${i}`)), undefined);
    t.is(port.budgets.takeOver(i, 'agent'), undefined);
  }
  const managers = Array.from({ length: 7 }, (_, i) => port.session(`m${i}`, 'raft'));
  const clients = Array.from({ length: 1000 }, () => port.client('m1', 'manager'));
  t.deepEqual(port.cut, []);
  t.is(port.budgets.count('agent'), 10_000);
  for (const id of [...managers, ...clients]) t.true(port.isIn(id));
});

test('one node has its share of each class, and takes nothing from others', (t) => {
  const port = new Port();
  const others = [port.session('a'), port.session('b', 'raft'), port.client('c', 'worker')];
  for (let i = 0; i < 5000; i++) port.session('bad');
  t.is(port.budgets.count('agent'), AGENT_SHARE + 1);
  for (let i = 0; i < 5000; i++) port.client('bad', 'worker');
  t.is(port.budgets.count('client'), WORKER_CLIENT_SHARE + 1);
  for (let i = 0; i < 5000; i++) port.session('bad', 'raft');
  t.is(port.budgets.count('raft'), RAFT_SHARE + 1);
  for (let i = 0; i < 5000; i++) port.client('proxy', 'manager');
  t.is(port.budgets.count('client'), WORKER_CLIENT_SHARE + 1 + MANAGER_CLIENT_SHARE);
  for (const id of others) t.true(port.isIn(id));
});

test('where every node has one session, the newcomer waits and nobody is cut', (t) => {
  const port = new Port();
  for (let i = 0; i < CONNECTIONS_LIMITS.agent; i++) port.session(`n${i}`);
  t.deepEqual(port.cut, []);
  const late = port.session('late');
  t.deepEqual(port.cut, [late]);
  // A node's second session replaces its first.
  const again = port.session('n0');
  t.deepEqual(port.cut, [late, 0]);
  t.true(port.isIn(again));
  t.is(port.budgets.count('agent'), CONNECTIONS_LIMITS.agent);
});

test('a connection that was cut or has closed can be neither proved nor upgraded', (t) => {
  const port = new Port();
  const gone = port.arrive('198.18.0.1');
  t.true(port.budgets.leave(gone));
  t.false(port.budgets.leave(gone));
  t.is(port.budgets.prove(gone, worker('n')), gone);
  t.is(port.budgets.takeOver(gone, 'agent'), gone);
  const unproved = port.arrive('198.18.0.1');
  t.is(port.budgets.takeOver(unproved, 'agent'), unproved);
  t.is(port.budgets.classOf(unproved), 'unproved');
  for (const name of ['client', 'agent'] as const) t.is(port.budgets.count(name), 0);
});

test('with few file descriptors all classes shrink in proportion', (t) => {
  t.deepEqual(limitsFor(Number.POSITIVE_INFINITY), CONNECTIONS_LIMITS);
  t.deepEqual(limitsFor(DESCRIPTORS_NEEDED), CONNECTIONS_LIMITS);
  const few = limitsFor(4096);
  const sum = CONNECTION_CLASSES.reduce((all, name) => all + few[name], 0);
  t.true(sum < 4096, String(sum));
  t.true(few.agent > few.unproved);
});

test('in any sequence of arrivals and departures the counts are right, and nothing is left at the end', (t) => {
  const address = fc.integer({ min: 0, max: 40 }).map((i) => `10.0.${i >> 2}.${i & 3}`);
  const step = fc.oneof(
    fc.record({ do: fc.constant('arrive' as const), address, known: fc.boolean() }),
    fc.record({ do: fc.constant('prove' as const), at: fc.nat(), node: fc.nat(5) }),
    fc.record({ do: fc.constant('take' as const), at: fc.nat(), agent: fc.boolean() }),
    fc.record({ do: fc.constant('leave' as const), at: fc.nat() }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
      const limits = { unproved: 20, returning: 20, client: 10, agent: 8, raft: 5 };
      const budgets = new ConnectionBudgets<number>(limits);
      const open = new Set<number>();
      let next = 0;
      const cut = (goes: number | undefined) => {
        if (goes !== undefined && !open.delete(goes)) throw new Error(`${goes} was cut twice`);
      };
      for (const each of steps) {
        if (each.do === 'arrive') {
          open.add(next);
          cut(budgets.arrive(next++, groupsOf(each.address), each.known));
        } else {
          const id = [...open][each.at % Math.max(1, open.size)];
          if (id === undefined) continue;
          if (each.do === 'prove') cut(budgets.prove(id, worker(`n${each.node}`)));
          else if (each.do === 'take') {
            if (budgets.nodeOf(id) !== undefined)
              cut(budgets.takeOver(id, each.agent ? 'agent' : 'raft'));
          } else {
            open.delete(id);
            budgets.leave(id);
          }
        }
        let sum = 0;
        for (const name of CONNECTION_CLASSES) {
          if (budgets.count(name) > limits[name]) throw new Error(`too many of ${name}`);
          sum += budgets.count(name);
        }
        if (sum !== open.size) throw new Error(`${sum} counted, ${open.size} open`);
      }
      for (const id of open) budgets.leave(id);
      return CONNECTION_CLASSES.every((name) => budgets.count(name) === 0);
    }),
    { numRuns: 300 },
  );
  t.pass();
});

test('the oldest of the largest group is the one that a full count finds', (t) => {
  const path = fc.tuple(fc.constantFrom('a', 'b', 'c'), fc.constantFrom('x', 'y', 'z'));
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.boolean(), path, fc.nat()), { maxLength: 200 }), (steps) => {
      const crowd = new Crowd<number>();
      const all: { id: number; path: readonly [string, string] }[] = [];
      for (const [index, [adds, at, which]] of steps.entries()) {
        if (adds || all.length === 0) {
          crowd.add(index, at);
          all.push({ id: index, path: at });
        } else {
          const [gone] = all.splice(which % all.length, 1);
          if (gone !== undefined) crowd.remove(gone.id, gone.path);
        }
        if (crowd.size !== all.length) return false;
        const found = all.find(({ id }) => id === crowd.oldestOfLargest());
        if (all.length === 0) continue;
        if (found === undefined) return false;
        const outer = (name: string) => all.filter(({ path: [first] }) => first === name);
        const inner = (name: string) =>
          outer(found.path[0]).filter(({ path: [, second] }) => second === name);
        const largest = Math.max(...['a', 'b', 'c'].map((name) => outer(name).length));
        const largestIn = Math.max(...['x', 'y', 'z'].map((name) => inner(name).length));
        if (crowd.largest !== largest || outer(found.path[0]).length !== largest) return false;
        const own = inner(found.path[1]);
        if (own.length !== largestIn || own[0]?.id !== found.id) return false;
      }
      return true;
    }),
    { numRuns: 500 },
  );
  t.pass();
});
