import type { Network, NetworkAttachment } from '@swarm/api';
import test from 'ava';
import {
  attachmentProblem,
  sharedAttachments,
  taskAddresses,
  taskAttachments,
} from '../src/runtime/task-ports.js';
import { makeTask } from './support/make-task.js';

const on = (ID: string, ...Addresses: string[]): NetworkAttachment => ({
  Network: { ID, Spec: { Name: ID } },
  Addresses,
});
const attached = (...NetworksAttachments: NetworkAttachment[]) => ({
  ...makeTask('t1'),
  NetworksAttachments,
});

function network(id: string, DriverOpts: Record<string, string> = {}): Network {
  return {
    ...{ ID: id, Version: { Index: 1 }, CreatedAt: '', UpdatedAt: '', VNI: 4097 },
    Subnets: [{ Subnet: '10.9.0.0/24', Gateway: '10.9.0.1' }],
    Spec: {
      ...{ Name: id, Labels: {}, Driver: 'overlay', DriverOpts, Scope: 'swarm' },
      ...{ Internal: false, Attachable: false, Ingress: false, IPv6Enabled: false },
    },
  };
}

test('all networks of a task are attached, each with all its addresses', (t) => {
  const task = attached(on('back', '10.9.0.2/32', 'fd09::2/128'), on('ingress', '10.240.1.5/32'));
  const networks = new Map([
    ['back', network('back', { encrypted: '', 'com.docker.network.driver.mtu': '1300' })],
    ['ingress', { ...network('ingress'), Spec: { ...network('ingress').Spec, Ingress: true } }],
  ]);
  const overlay = {
    ...{ networkId: 'back', name: 'back', subnets: ['10.9.0.0/24'] },
    ...{ isInternal: false, isEncrypted: true, mtuBytes: 1300 },
  };
  t.deepEqual(
    taskAttachments(task, (id) => networks.get(id)),
    [
      { networkId: 'back', addresses: ['10.9.0.2/32', 'fd09::2/128'], overlay },
      { networkId: 'ingress', addresses: ['10.240.1.5/32'] },
    ],
  );
  t.deepEqual(taskAddresses(task), ['10.9.0.2', 'fd09::2', '10.240.1.5']);
  t.is(attachmentProblem(task), undefined);
  t.deepEqual(
    taskAttachments(makeTask('t2'), () => undefined),
    [],
  );
});

test('a task in its host’s network is on all its networks, where it listens', (t) => {
  const task = attached(on('back', '10.9.0.2/32'), on('ingress', '10.240.1.5/32'));
  t.deepEqual(sharedAttachments(task, '127.0.0.1'), [
    { networkId: 'back', addresses: ['127.0.0.1/32'] },
    { networkId: 'ingress', addresses: ['127.0.0.1/32'] },
  ]);
  t.deepEqual(sharedAttachments(task, 'fd00::1'), [
    { networkId: 'back', addresses: ['fd00::1/128'] },
    { networkId: 'ingress', addresses: ['fd00::1/128'] },
  ]);
  t.deepEqual(sharedAttachments(makeTask('t2'), '127.0.0.1'), []);
});

test('an attachment without a good address is a problem that names the network', (t) => {
  t.regex(
    attachmentProblem(attached(on('ingress', '10.240.1.5/32'), on('back'))) ?? '',
    /network back/,
  );
  t.regex(attachmentProblem(attached(on('ingress', '10.240.1.5'))) ?? '', /network ingress/);
});
