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

const PLAIN = `udp      17 29 src=198.18.0.100 dst=198.18.0.1 sport=5000 dport=53 [UNREPLIED] src=198.18.0.1 dst=198.18.0.100 sport=53 dport=5000 mark=0 use=1
udp      17 29 src=198.18.0.101 dst=198.18.0.1 sport=5000 dport=53 src=198.18.0.1 dst=198.18.0.101 sport=53 dport=5000 [ASSURED] mark=0 zone-orig=28673 use=1
udp      17 29 src=198.18.0.100 dst=198.18.0.1 sport=5001 dport=53 src=10.240.1.2 dst=198.18.0.100 sport=53 dport=5001 mark=4096 use=1
udp      17 29 src=198.18.0.100 dst=198.18.0.9 sport=5000 dport=53 [UNREPLIED] src=198.18.0.9 dst=198.18.0.100 sport=53 dport=5000 mark=0 use=1
udp      17 29 src=198.18.0.100 dst=198.18.7.7 sport=5000 dport=53 [UNREPLIED] src=198.18.7.7 dst=198.18.0.100 sport=53 dport=5000 mark=0 use=1
udp      17 29 src=127.0.0.1 dst=127.0.0.1 sport=5000 dport=53 src=127.0.0.1 dst=127.0.0.1 sport=53 dport=5000 mark=0 use=1
udp      17 29 src=198.18.0.100 dst=198.18.0.1 sport=5000 dport=80 [UNREPLIED] src=198.18.0.1 dst=198.18.0.100 sport=80 dport=5000 mark=0 use=1
`;

test('untranslated UDP flows to a port of this host are deleted, and no others', async (t) => {
  const calls: string[] = [];
  const conntrack = new Conntrack(async (program, args) => {
    calls.push([program, ...args].join(' '));
    if (program === 'ip') {
      return '[{"type":"local","dst":"198.18.0.1"},{"type":"local","dst":"198.18.7.0/24"},{"type":"local","dst":"127.0.0.0/8"}]';
    }
    return args[0] === '-L' ? PLAIN : '';
  });
  await conntrack.forgetPlain(new Set());
  t.deepEqual(calls.splice(0), [], 'no port costs nothing');
  await conntrack.forgetPlain(new Set([53]));
  t.deepEqual(calls.splice(0), [
    'conntrack -L -p udp --orig-port-dst 53',
    'ip -j -4 route show table local type local',
    'conntrack -D -p udp --orig-dst 198.18.0.1 --orig-port-dst 53 --reply-src 198.18.0.1',
    'conntrack -D -p udp --orig-dst 198.18.7.7 --orig-port-dst 53 --reply-src 198.18.7.7',
  ]);
  await conntrack.forgetPlain(new Set([443, 8443]));
  t.deepEqual(calls.splice(0), ['conntrack -L -p udp'], 'one listing for many ports');
});

test('a deletion goes on when a flow ends by itself meanwhile', async (t) => {
  let calls = 0;
  const conntrack = new Conntrack(() => {
    calls += 1;
    if (calls < 3) {
      const gone =
        "conntrack v1.4.7 (conntrack-tools): Operation failed: such conntrack doesn't exist";
      return Promise.reject(new CommandError('conntrack', gone));
    }
    return Promise.resolve('');
  });
  await conntrack.forgetAddresses([ip('10.240.1.2')]);
  t.is(calls, 3);
});

test('having nothing to delete is not a failure, anything else is', async (t) => {
  const failing = (stderr: string) =>
    new Conntrack(() => Promise.reject(new CommandError('conntrack', stderr)));
  const none = 'conntrack v1.4.7 (conntrack-tools): 0 flow entries have been deleted.';
  await t.notThrowsAsync(failing(none).forgetAddresses([ip('10.240.1.2')]));
  await t.throwsAsync(failing('Operation not permitted').forgetAddresses([ip('10.240.1.2')]));
});
