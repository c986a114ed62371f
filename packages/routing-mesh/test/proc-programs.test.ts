import { type PortKey, silentLogger } from '@swarm/api';
import test from 'ava';
import { ProcPrograms } from '../src/programs/proc-programs.js';
import { passedListeners } from '../src/probe/socket-table.js';
import { fakeKernel } from './support/fake-kernel.js';

const HEAD =
  '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n';
const LISTEN = '0A';
const BOUND = '07';
const ANY = '00000000';
const ANY6 = ANY.repeat(4);

function line(address: string, port: number, state: string, inode: number): string {
  const hex = port.toString(16).toUpperCase().padStart(4, '0');
  return `   0: ${address}:${hex} ${'0'.repeat(address.length)}:0000 ${state} 00000000:00000000 00:00000000 00000000 0 0 ${inode} 1 0\n`;
}

const SS = `tcp   LISTEN 0      511          0.0.0.0:80        0.0.0.0:*    users:(("nginx",pid=812,fd=6),("nginx",pid=813,fd=6))
tcp   LISTEN 0      511             [::]:80           [::]:*    users:(("nginx",pid=812,fd=7))
udp   UNCONN 0      0            0.0.0.0:53        0.0.0.0:*
`;

function host(listing: () => Promise<string> = async () => SS) {
  let lists = 0;
  const kernel = fakeKernel((program, args) => {
    lists += 1;
    return program === 'ss' && args.join(' ') === '-Hltunp' ? listing() : Promise.reject();
  });
  const programs = new ProcPrograms({ kernel, logger: silentLogger });
  return {
    put: (name: string, ...lines: string[]) =>
      void kernel.files.set(`/proc/net/${name}`, HEAD + lines.join('')),
    lists: () => lists,
    find: async (ports: PortKey[], ...held: PortKey[]) =>
      Object.fromEntries(
        await programs.find(
          new Set(ports),
          (port, at) => held.includes(port) && at !== '198.18.0.3',
        ),
      ),
  };
}

test('a program that listens on an address of the host has the port, and is named once', async (t) => {
  const { put, find, lists } = host();
  put('tcp', line(ANY, 80, LISTEN, 11), line('030012C6', 81, LISTEN, 12), line(ANY, 82, '01', 13));
  const ports: PortKey[] = ['tcp/80', 'tcp/81', 'tcp/82', 'udp/80'];
  const wanted = {
    'tcp/80': 'nginx (pid 812) listens on it',
    'tcp/81': 'a program of this host listens on it',
  };
  t.deepEqual(await find(ports), wanted);
  t.deepEqual(await find(ports), wanted);
  t.is(lists(), 1, 'looking at every process costs something');
  put('tcp', line(ANY, 80, LISTEN, 99));
  t.deepEqual(Object.keys(await find(ports)), ['tcp/80']);
  t.is(lists(), 2, 'it is another socket');
  put('tcp');
  t.deepEqual(await find(ports), {});
});

test('UDP: a socket that is bound has the port, one that is connected does not', async (t) => {
  const { put, find } = host();
  put('udp', line(ANY, 53, BOUND, 1), line(ANY, 54, '01', 2));
  t.deepEqual(await find(['udp/53', 'udp/54', 'tcp/53']), {
    'udp/53': 'a program of this host listens on it',
  });
});

test('programs on loopback alone, and the mesh’s own listeners, are in nobody’s way', async (t) => {
  const { put, find } = host();
  put('tcp', line('0100007F', 80, LISTEN, 1), line('3500007F', 53, LISTEN, 2));
  put('tcp6', line(ANY6, 80, LISTEN, 3), line(ANY6, 81, LISTEN, 4));
  t.deepEqual(Object.keys(await find(['tcp/80', 'tcp/53', 'tcp/81'], 'tcp/80')), ['tcp/81']);
  put('tcp', line(ANY, 80, LISTEN, 5));
  t.deepEqual(
    await find(['tcp/80'], 'tcp/80'),
    {},
    'with the PROXY protocol, ours are on all addresses',
  );
  // Beside ours, somebody may still bind one address.
  put('tcp', line('030012C6', 80, LISTEN, 5));
  t.deepEqual(Object.keys(await find(['tcp/80'], 'tcp/80')), ['tcp/80']);
});

test('without ss, and without tables, nothing fails', async (t) => {
  const { put, find } = host(() => Promise.reject(new Error('ss is not installed')));
  t.deepEqual(await find(['tcp/80']), {});
  put('tcp', line(ANY, 80, LISTEN, 1));
  t.deepEqual(await find(['tcp/80']), { 'tcp/80': 'a program of this host listens on it' });
  t.deepEqual(await find([]), {});
});

test('of a table of TCP only the start is read, which holds what listens', (t) => {
  const listens = line(ANY, 80, LISTEN, 1);
  const connected = line(ANY, 80, '01', 2);
  t.false(passedListeners(''));
  t.false(passedListeners(HEAD));
  t.false(passedListeners(HEAD + listens));
  t.false(passedListeners(HEAD + listens + connected.slice(0, 10)));
  t.true(passedListeners(HEAD + listens + connected));
  t.true(passedListeners(HEAD + connected + connected.slice(0, 30)));
});
