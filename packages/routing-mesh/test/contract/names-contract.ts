import test from 'ava';
import { readAttachment } from '../../src/attachment.js';
import type { NamedTask, ServiceNames } from '../../src/names/service-names.js';
import type { NetworkView } from '../../src/overlay/network-view.js';
import { namesSlice, type ViewPlan, viewOf } from '../support/name-views.js';

/** Names of services on one node, and its tasks. */
export interface NamesHost {
  readonly names: ServiceNames;
  /** A task of the node on networks, linked and not attached to names yet. */
  task(taskId: string, networkIds: readonly string[], own?: readonly string[]): NamedTask;
  /**
   * Addresses that a task finds under a name. Absent if the implementation has no names: it must refuse
   * networks that have some.
   */
  readonly find?: (taskId: string, name: string) => Promise<readonly string[]>;
  /** Another process on the same node, after this one closed and kept what it had. */
  readonly next?: () => Promise<ServiceNames>;
}

/** A task that exists on paper. The n-th network gives it the address 10.0.n.7. */
export function namedTask(
  taskId: string,
  networkIds: readonly string[],
  own: readonly string[] = [],
  netns = '/run/netns/nobody',
): NamedTask {
  const attachments = networkIds.map((networkId, at) => ({
    networkId,
    addresses: [`10.0.${at + 1}.7/32`],
    overlay: {
      networkId,
      name: networkId,
      subnets: [`10.0.${at + 1}.0/24`],
      isInternal: false,
      isEncrypted: false,
    },
  }));
  return readAttachment({ taskId, netns, attachments, names: own });
}
/** What every ServiceNames must do, whatever it is made of. Registers tests. */
export function namesContract(name: string, open: () => Promise<NamesHost>): void {
  const title = (text: string) => `${name}: ${text}`;
  const plan = (networkId: string): ViewPlan => ({
    networkId,
    services: [
      { serviceId: 'service1', names: ['db', 'database'], vips: [VIP] },
      { serviceId: 'service2', names: ['rr'] },
    ],
    members: [
      { taskId: 'member1', serviceId: 'service2', names: ['rr.1.x'], addresses: ['10.0.1.21'] },
      {
        taskId: 'member2',
        serviceId: 'service2',
        names: ['rr.2.x'],
        addresses: ['10.0.1.22'],
        serves: false,
      },
    ],
  });
  const VIP = '10.0.1.2';
  const view = (networkId: string): NetworkView => viewOf(plan(networkId));
  const network = view('backend');

  test.serial(title('a network’s names are found or refused, never dropped'), async (t) => {
    const { names, task, find } = await open();
    await names.attach(task('task1', ['backend']));
    if (find === undefined) {
      await t.throwsAsync(names.apply(namesSlice(network)), { message: /\bbackend\b/ });
    } else {
      await names.apply(namesSlice(network));
      for (const each of network.services.get('service1')!.names)
        t.deepEqual(await find('task1', each), [VIP]);
      t.deepEqual(await find('task1', 'other'), []);
    }
    await t.notThrowsAsync(names.apply(namesSlice()), 'a refused state does not stay');
    if (find !== undefined) t.deepEqual(await find('task1', 'db'), []);
    await names.close({ keep: false });
  });

  test.serial(title('a refusal names every network that it is about'), async (t) => {
    const { names, find } = await open();
    const other = view('frontend');
    const applied = names.apply(namesSlice(network, other));
    if (find === undefined) await t.throwsAsync(applied, { message: /backend.*frontend/ });
    else await t.notThrowsAsync(applied);
  });

  test.serial(title('a task may come again, go twice, and go without having come'), async (t) => {
    const { names, task } = await open();
    const one = task('task1', ['frontend']);
    await names.apply(namesSlice());
    await names.attach(one);
    await names.attach(one);
    await names.detach([one.taskId]);
    await names.detach([one.taskId, task('unknown', ['frontend']).taskId]);
    await t.notThrowsAsync(names.attach(one), 'and come back');
    await names.close({ keep: false });
  });

  test.serial(title('what a process left is taken over by the next, or removed'), async (t) => {
    for (const keep of [true, false]) {
      const { names, task } = await open();
      await names.attach(task('task1', ['frontend']));
      await names.close({ keep });
      await t.notThrowsAsync(names.close({ keep }), 'closing twice');
    }
    const { names } = await open();
    await t.notThrowsAsync(names.apply(namesSlice()));
    await names.close({ keep: false });
  });

  test.serial(
    title('services, their tasks, single tasks, and names within a network'),
    async (t) => {
      const { names, task, find } = await open();
      if (find !== undefined) {
        await names.apply(namesSlice(network));
        await names.attach(task('task1', ['backend']));
        t.deepEqual(await find('task1', 'DATABASE'), [VIP]);
        t.deepEqual(await find('task1', 'rr'), ['10.0.1.21'], 'those that serve');
        t.deepEqual(await find('task1', 'tasks.rr'), ['10.0.1.21']);
        t.deepEqual(await find('task1', 'rr.2.x'), ['10.0.1.22'], 'whether it serves or not');
        t.deepEqual(await find('task1', 'db.backend'), [VIP]);
      }
      await names.close({ keep: false });
      t.pass();
    },
  );

  test.serial(
    title('a task sees its networks, its own names, and the first network first'),
    async (t) => {
      const { names, task, find } = await open();
      if (find !== undefined) {
        await names.attach(task('task1', ['backend', 'frontend'], ['self']));
        t.deepEqual(await find('task1', 'self'), ['10.0.1.7'], 'before any state');
        const vips = ['10.0.2.2'];
        const front = viewOf({
          networkId: 'frontend',
          services: [{ serviceId: 'service3', names: ['db', 'front'], vips }],
        });
        await names.apply(namesSlice(network, front));
        t.deepEqual(await find('task1', 'db'), [VIP]);
        t.deepEqual(await find('task1', 'front'), vips);
        await names.attach(task('task1', ['frontend', 'backend']));
        t.deepEqual(await find('task1', 'db'), vips);
        await names.attach(task('task1', ['frontend']));
        t.deepEqual(await find('task1', 'database'), []);
      }
      await names.close({ keep: false });
      t.pass();
    },
  );

  test.serial(
    title('a successor serves on, and drops tasks that it does not retain'),
    async (t) => {
      const { names, task, find, next } = await open();
      if (find !== undefined && next !== undefined) {
        await names.apply(namesSlice(network));
        await names.attach(task('task1', ['backend']));
        await names.close({ keep: true });
        t.deepEqual(await find('task1', 'db'), [VIP], 'without anybody');
        const later = await next();
        await later.retain(new Set(['task1']));
        t.deepEqual(await find('task1', 'db'), [VIP], 'what it knows not yet');
        const vips = ['10.0.1.3'];
        const services = [{ serviceId: 's', names: ['db'], vips }];
        await later.apply(namesSlice(viewOf({ networkId: 'backend', services })));
        t.deepEqual(await find('task1', 'db'), vips);
        await later.retain(new Set());
        t.deepEqual(await find('task1', 'db').catch(() => []), []);
        await later.close({ keep: false });
      }
      t.pass();
    },
  );
}
