import { silentLogger } from '@swarm/api';
import test from 'ava';
import { settle, VirtualClock } from '@swarm/sim';
import type { ResolverOrder } from '../src/names/resolver-orders.js';
import { type ResolverConnection, ResolverRefusal } from '../src/names/resolver-process.js';
import { ResolverNames } from '../src/names/resolver-names.js';
import { namedTask } from './contract/names-contract.js';
import { namesSlice, viewOf } from './support/name-views.js';

const view = (...vips: string[]) =>
  viewOf({ networkId: 'backend', services: [{ serviceId: 's', names: ['db'], vips }] });

/** A resolver that remembers what it was told; each is a new process. */
class Resolvers {
  readonly told: ResolverOrder[][] = [];
  kills = 0;
  /** What orders meet: done, no answer, or a refusal. */
  mood: 'works' | 'hangs' | 'refuses' = 'works';
  cannotStart = false;
  #end: (() => void) | undefined;
  #connection: ResolverConnection | undefined;

  readonly process = {
    open: async ({ mayStart }: { readonly mayStart: boolean }) => {
      if (this.#connection !== undefined) return this.#connection;
      if (!mayStart) return undefined;
      if (this.cannotStart) throw new Error('no memory');
      return this.start();
    },
    kill: async () => {
      this.kills += 1;
      this.#connection = undefined;
      this.mood = 'works';
    },
  };

  start(): ResolverConnection {
    const told: ResolverOrder[] = [];
    this.told.push(told);
    this.#connection = {
      order: async (order) => {
        if (this.mood === 'hangs') return new Promise(() => {});
        if (this.mood === 'refuses') throw new ResolverRefusal('no such namespace');
        told.push(order);
      },
      onEnd: (listener) => {
        this.#end = listener;
      },
      close: () => {},
    };
    return this.#connection;
  }

  /** As when somebody kills it. */
  die(): void {
    this.#connection = undefined;
    this.#end?.();
  }

  /** Types of what the process number `at` was told. */
  types(at: number): readonly string[] {
    return (this.told[at] ?? []).map(({ type }) => type);
  }
}

function opened() {
  const resolvers = new Resolvers();
  const clock = new VirtualClock();
  const names = new ResolverNames({ resolver: resolvers.process, clock, logger: silentLogger });
  return { resolvers, clock, names };
}

test('a node without tasks that have names starts nothing', async (t) => {
  const { resolvers, names } = opened();
  await names.apply(namesSlice());
  await names.apply(namesSlice(view('10.0.1.2')));
  await names.retain(new Set(['task1']));
  await names.detach([namedTask('task1', ['backend']).taskId]);
  t.is(resolvers.told.length, 0);
});

test('the first task starts it, and finds what was applied before', async (t) => {
  const { resolvers, names } = opened();
  await names.apply(namesSlice(view('10.0.1.2')));
  await names.attach(namedTask('task1', ['backend']));
  t.deepEqual(resolvers.types(0).slice(0, 2), ['change', 'attach']);
  await names.apply(namesSlice(view('10.0.1.2')));
  t.is(resolvers.types(0).filter((type) => type === 'change').length, 1, 'nothing changed');
});

test('a daemon without a state leaves what the resolver holds', async (t) => {
  const { resolvers, names } = opened();
  resolvers.start();
  await names.retain(new Set(['task1']));
  await names.attach(namedTask('task1', ['backend']));
  t.deepEqual(resolvers.types(0), ['retain', 'attach']);
  await names.apply(namesSlice(view('10.0.1.2')));
  t.like(resolvers.told[0]![2], { type: 'change', changes: [{ type: 'clear' }], isLast: true });
});

test('one that dies is started again at once, with everything', async (t) => {
  const { resolvers, clock, names } = opened();
  await names.attach(namedTask('task1', ['backend']));
  await names.apply(namesSlice(view('10.0.1.2')));
  resolvers.die();
  await clock.advance(1);
  await settle();
  t.deepEqual(resolvers.types(1), ['change', 'attach']);
  await names.detach([namedTask('task1', ['backend']).taskId]);
  resolvers.die();
  await clock.advance(60_000);
  t.is(resolvers.told.length, 2, 'without tasks nobody needs it');
});

test('one that hangs is killed and started again within the apply that met it', async (t) => {
  const { resolvers, clock, names } = opened();
  await names.attach(namedTask('task1', ['backend']));
  resolvers.mood = 'hangs';
  const applied = names.apply(namesSlice(view('10.0.1.2')));
  for (let ms = 0; ms < 5_100; ms += 100) await clock.advance(100);
  await applied;
  t.is(resolvers.kills, 1);
  t.deepEqual(resolvers.types(1), ['change', 'attach']);
});

test('a state does not wait for a resolver that cannot be started', async (t) => {
  const { resolvers, clock, names } = opened();
  await names.attach(namedTask('task1', ['backend']));
  resolvers.cannotStart = true;
  resolvers.die();
  await t.notThrowsAsync(names.apply(namesSlice(view('10.0.1.2'))));
  await t.throwsAsync(names.attach(namedTask('task2', ['backend'])), { message: 'no memory' });
  resolvers.cannotStart = false;
  await clock.advance(600);
  await settle();
  t.deepEqual(resolvers.types(1), ['change', 'attach'], 'it is tried again');
});

test('a refusal is the task’s, and no reason to start another', async (t) => {
  const { resolvers, names } = opened();
  await names.attach(namedTask('task1', ['backend']));
  resolvers.mood = 'refuses';
  await t.throwsAsync(names.attach(namedTask('task2', ['backend'])), {
    message: 'no such namespace',
  });
  t.deepEqual([resolvers.kills, resolvers.told.length], [0, 1]);
});

test('a node that leaves ends it, a daemon that restarts does not', async (t) => {
  for (const keep of [true, false]) {
    const { resolvers, names } = opened();
    await names.attach(namedTask('task1', ['backend']));
    await names.close({ keep });
    await names.close({ keep });
    t.is(resolvers.types(0).includes('end'), !keep);
    t.is(resolvers.kills, keep ? 0 : 1);
    await t.throwsAsync(names.attach(namedTask('task1', ['backend'])), { message: /closed/ });
  }
});
