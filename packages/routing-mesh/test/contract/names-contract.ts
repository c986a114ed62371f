import { parseIpAddress, Subnet } from '@swarm/api';
import test from 'ava';
import { readAttachment } from '../../src/attachment.js';
import type { NamedTask, ServiceNames } from '../../src/names/service-names.js';
import type { NetworkView } from '../../src/overlay/network-view.js';
import { parseNetworkId } from '../../src/layout.js';

/** Names of services on one node, and its tasks. */
export interface NamesHost {
  readonly names: ServiceNames;
  /** A task of the node on a network, linked and not attached to names yet. */
  task(taskId: string, networkId: string): NamedTask;
  /**
   * Addresses that a task finds under a name. Absent if the implementation has no names: it must refuse
   * networks that have some.
   */
  readonly find?: (taskId: string, name: string) => Promise<readonly string[]>;
}

/** A task that exists on paper. */
export function namedTask(taskId: string, networkId: string): NamedTask {
  const addresses = ['10.240.1.7/32'];
  const netns = '/run/netns/nobody';
  return readAttachment({ taskId, netns, attachments: [{ networkId, addresses }] });
}

/** What every ServiceNames must do, whatever it is made of. Registers tests. */
export function namesContract(name: string, open: () => Promise<NamesHost>): void {
  const title = (text: string) => `${name}: ${text}`;
  const VIP = parseIpAddress('10.0.1.2')!;
  const view = (name: string): NetworkView => ({
    overlay: {
      networkId: parseNetworkId(name)!,
      name,
      subnets: [Subnet.of('10.0.1.0/24')],
      isInternal: false,
      isEncrypted: false,
      mtuBytes: undefined,
    },
    services: [{ serviceId: 'service1', names: ['db', 'database'], vips: [VIP] }],
    members: [],
  });
  const network = view('backend');

  test.serial(title('a network’s names are found or refused, never dropped'), async (t) => {
    const { names, task, find } = await open();
    await names.attach(task('task1', 'backend'));
    if (find === undefined) {
      await t.throwsAsync(names.apply({ networks: [network] }), { message: /\bbackend\b/ });
    } else {
      await names.apply({ networks: [network] });
      for (const each of network.services[0]!.names) t.deepEqual(await find('task1', each), [VIP]);
      t.deepEqual(await find('task1', 'other'), []);
    }
    await t.notThrowsAsync(names.apply({ networks: [] }), 'a refused state does not stay');
    if (find !== undefined) t.deepEqual(await find('task1', 'db'), []);
    await names.close({ keep: false });
  });

  test.serial(title('a refusal names every network that it is about'), async (t) => {
    const { names, find } = await open();
    const other = view('frontend');
    const applied = names.apply({ networks: [network, other] });
    if (find === undefined) await t.throwsAsync(applied, { message: /backend.*frontend/ });
    else await t.notThrowsAsync(applied);
  });

  test.serial(title('a task may come again, go twice, and go without having come'), async (t) => {
    const { names, task } = await open();
    const one = task('task1', 'ingressnetwork');
    await names.apply({ networks: [] });
    await names.attach(one);
    await names.attach(one);
    await names.detach([one.taskId]);
    await names.detach([one.taskId, task('unknown', 'ingressnetwork').taskId]);
    await t.notThrowsAsync(names.attach(one), 'and come back');
    await names.close({ keep: false });
  });

  test.serial(title('what a process left is taken over by the next, or removed'), async (t) => {
    for (const keep of [true, false]) {
      const { names, task } = await open();
      await names.attach(task('task1', 'ingressnetwork'));
      await names.close({ keep });
      await t.notThrowsAsync(names.close({ keep }), 'closing twice');
    }
    const { names } = await open();
    await t.notThrowsAsync(names.apply({ networks: [] }));
    await names.close({ keep: false });
  });
}
