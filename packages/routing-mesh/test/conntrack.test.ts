import test from 'ava';
import { CommandError } from '../src/kernel/command.js';
import { Conntrack } from '../src/balancer/nftables/conntrack.js';
import { ip } from './support/checked.js';

const LISTING = `tcp      6 431999 ESTABLISHED src=198.18.0.100 dst=198.18.0.1 sport=4000 dport=8080 src=10.240.3.2 dst=198.18.0.100 sport=80 dport=4000 [ASSURED] mark=4096 use=1
tcp      6 431999 ESTABLISHED src=198.18.0.100 dst=198.18.0.1 sport=4001 dport=8080 src=10.240.3.2 dst=198.18.0.100 sport=80 dport=4001 [ASSURED] mark=4096 use=1
udp      17 29 src=198.18.0.100 dst=198.18.0.1 sport=5000 dport=53 [UNREPLIED] src=10.240.2.9 dst=198.18.0.100 sport=53 dport=5000 mark=4097 use=1
`;

test('flows that match are deleted once for each place they lead to', async (t) => {
  const calls: string[] = [];
  const conntrack = new Conntrack(async (program, args) => {
    calls.push([program, ...args].join(' '));
    return args[0] === '-L' ? LISTING : '';
  });
  await conntrack.forgetMatching(({ address }) => address.startsWith('10.240.3.'));
  await conntrack.forgetMatching(({ protocol }) => protocol === 'udp');
  t.deepEqual(calls, [
    'conntrack -L --dst-nat',
    'conntrack -D -p tcp --reply-src 10.240.3.2 --reply-port-src 80',
    'conntrack -L --dst-nat',
    'conntrack -D -p udp --reply-src 10.240.2.9 --reply-port-src 53',
  ]);
});

test('having nothing to delete is not a failure, anything else is', async (t) => {
  const failing = (stderr: string) =>
    new Conntrack(() => Promise.reject(new CommandError('conntrack', stderr)));
  const none = 'conntrack v1.4.7 (conntrack-tools): 0 flow entries have been deleted.';
  await t.notThrowsAsync(failing(none).forgetAddresses([ip('10.240.1.2')]));
  await t.throwsAsync(failing('Operation not permitted').forgetAddresses([ip('10.240.1.2')]));
});
