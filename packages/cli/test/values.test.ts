import test from 'ava';
import { UsageError } from '../src/command.js';
import { environment, hostLine, parsePreference, parseUlimit } from '../src/flags/lists.js';
import { parseMount } from '../src/flags/mount.js';
import { parsePublish } from '../src/flags/publish.js';
import {
  parseBytes,
  parseCount,
  parseCpus,
  parseDuration,
  parseFields,
  splitWords,
} from '../src/flags/values.js';

type Parser = (text: string) => unknown;
interface Grammar {
  readonly parse: Parser;
  readonly good: Readonly<Record<string, unknown>>;
  readonly bad: readonly string[];
}

const port = (target: number, published?: number, rest: object = {}) => ({
  Protocol: 'tcp',
  TargetPort: target,
  ...(published === undefined ? {} : { PublishedPort: published }),
  PublishMode: 'ingress',
  ...rest,
});

const GRAMMARS: Readonly<Record<string, Grammar>> = {
  duration: {
    parse: (text) => parseDuration('x', text),
    good: {
      '0': 0,
      '10s': 1e10,
      '1m30s': 9e10,
      '1.5s': 15e8,
      '500ms': 5e8,
      '2h': 72e11,
      '3us': 3e3,
    },
    bad: ['', '10', 's', '10 s', '1m30', '-1s', '1d', '1s!'],
  },
  bytes: {
    parse: (text) => parseBytes('x', text),
    good: {
      '0': 0,
      '1048576': 1048576,
      '64m': 67108864,
      '1.5g': 1610612736,
      '1KiB': 1024,
      '2kb': 2048,
      '7B': 7,
      '1T': 2 ** 40,
    },
    bad: ['', 'm', '-1m', '1x', '1mm', '1bb', '1ib', '64 m b', '1,5g'],
  },
  cpus: {
    parse: (text) => parseCpus('x', text),
    good: { '0.5': 5e8, '2': 2e9, '0.000000001': 1 },
    bad: ['', '-1', '1e3', '0.0000000001', 'two'],
  },
  count: {
    parse: (text) => parseCount('x', text),
    good: { '0': 0, '12': 12 },
    bad: ['', '-1', '1.5', '1e3', 'all'],
  },
  publish: {
    parse: parsePublish,
    good: {
      '80': [port(80)],
      '8080:80': [port(80, 8080)],
      '53:53/udp': [port(53, 53, { Protocol: 'udp' })],
      '80-81': [port(80), port(81)],
      '90-91:80-81': [port(80, 90), port(81, 91)],
      '127.0.0.1:80:80': [port(80, 80, { HostIP: '127.0.0.1' })],
      '[2001:DB8::1]:90-91:80-81/udp': [80, 81].map((target) =>
        port(target, target + 10, { Protocol: 'udp', HostIP: '2001:db8::1' }),
      ),
      'published=8080,target=80,host_ip=192.0.2.1': [port(80, 8080, { HostIP: '192.0.2.1' })],
      'published=80,target=80,connections=1000,rate=100/second,burst=200': [
        port(80, 80, { ClientLimits: { Connections: 1000, Rate: 100, Burst: 200 } }),
      ],
      'target=80,rate=5/minute': [
        port(80, undefined, { ClientLimits: { Rate: 5, Per: 'minute' } }),
      ],
      'target=80,proxy-protocol=v2': [port(80, undefined, { ProxyProtocol: 'v2' })],
      'target=80,rate=5': [port(80, undefined, { ClientLimits: { Rate: 5 } })],
      'target=80': [port(80)],
      'published=8080,target=80,protocol=udp,mode=host': [
        port(80, 8080, { Protocol: 'udp', PublishMode: 'host' }),
      ],
    },
    bad: [
      ...['', 'x', '0', '65536', '80:x', '80/icmp', '80/tcp/udp', '127.0.0.1:80', '81-80'],
      ...['256.0.0.1:80:80', '2001:db8::1:80:80', '[2001:db8::x]:80:80', 'target=80,host_ip=web'],
      ...['80-82:80-81', '1-2-3', 'published=80', 'target=', 'target=80,mode=x', 'target=80,foo=1'],
      ...[
        'target=80,connections=0',
        'target=80,rate=x/second',
        'target=80,rate=5/day',
        'target=80,burst=-1',
        'target=80,proxy-protocol=v3',
      ],
      ...['target=80,protocol=x', 'target=80,', 'target=80,host'],
    ],
  },
  mount: {
    parse: parseMount,
    good: {
      'target=/x': { Type: 'volume', Target: '/x' },
      'type=bind,src=/a,dst=/b,ro': { Type: 'bind', Source: '/a', Target: '/b', ReadOnly: true },
      'type=bind,source=/a,target=/b,readonly=false,bind-propagation=rslave,bind-create-src': {
        Type: 'bind',
        Source: '/a',
        Target: '/b',
        ReadOnly: false,
        BindOptions: { Propagation: 'rslave', CreateMountpoint: true },
      },
      'type=tmpfs,target=/t,tmpfs-size=1m,tmpfs-mode=1777': {
        Type: 'tmpfs',
        Target: '/t',
        TmpfsOptions: { SizeBytes: 1048576, Mode: 0o1777 },
      },
      'source=v,target=/v,volume-nocopy,volume-subpath=s,volume-label=a=b,volume-driver=d,"volume-opt=o=x,y"':
        {
          Type: 'volume',
          Source: 'v',
          Target: '/v',
          VolumeOptions: {
            NoCopy: true,
            Subpath: 's',
            Labels: { a: 'b' },
            DriverConfig: { Name: 'd', Options: { o: 'x,y' } },
          },
        },
    },
    bad: [
      ...[
        '',
        'type=bind',
        'type=x,target=/a',
        'type=npipe,target=/a',
        'target=',
        'target=/a,foo=1',
      ],
      ...[
        'target=/a,ro=maybe',
        'type=tmpfs,target=/a,tmpfs-mode=9',
        'type=bind,target=/a,tmpfs-size=1m',
      ],
      ...[
        'type=tmpfs,target=/a,volume-nocopy',
        'target=/a,"ro"x',
        'target=/a,x"ro"',
        'target=/a,,ro',
      ],
    ],
  },
  fields: {
    parse: (text) => parseFields('x', text),
    good: {
      'A=1,b': [
        ['a', '1'],
        ['b', undefined],
      ],
      '"a=1,2","b=""q"""': [
        ['a', '1,2'],
        ['b', '"q"'],
      ],
    },
    bad: ['', 'a,,b', '"a', '"a"b', 'a"b"'],
  },
  words: {
    parse: (text) => splitWords('x', text),
    good: {
      'a b': ['a', 'b'],
      'sh -c \'echo "x"\'': ['sh', '-c', 'echo "x"'],
      '"a\\"b" c\\ d ""': ['a"b', 'c d', ''],
      '': [],
    },
    bad: ["'a", '"a'],
  },
  host: {
    parse: hostLine,
    good: { 'a:1.2.3.4': '1.2.3.4 a', 'a:::1': '::1 a' },
    bad: ['a', ':1', 'a:'],
  },
  ulimit: {
    parse: parseUlimit,
    good: {
      'nofile=10': { Name: 'nofile', Soft: 10, Hard: 10 },
      'nofile=10:-1': { Name: 'nofile', Soft: 10, Hard: -1 },
    },
    bad: ['nofile', 'nofile=', 'nofile=x', 'nofile=1:2:3', '=1'],
  },
  preference: {
    parse: parsePreference,
    good: { 'spread=node.labels.x': { Spread: { SpreadDescriptor: 'node.labels.x' } } },
    bad: ['node.labels.x', 'spread', 'spread=', 'pack=node.labels.x'],
  },
};

for (const [name, { parse, good, bad }] of Object.entries(GRAMMARS)) {
  test(`every way to write a ${name} is understood`, (t) => {
    for (const [text, value] of Object.entries(good))
      t.deepEqual(parse(text), value as never, text);
  });
  test(`anything but a ${name} is refused and quoted`, (t) => {
    for (const text of bad) {
      const error = t.throws(() => parse(text), { instanceOf: UsageError }, text);
      t.true(error?.message.includes(`'${text}'`), error?.message);
    }
  });
}

test('a variable without a value takes ours, or is omitted', (t) => {
  t.deepEqual(environment(['A=1', 'B', 'C'], { B: 'ours' }), ['A=1', 'B=ours']);
  t.throws(() => environment(['=1'], {}), { message: /use NAME=VALUE/ });
});
