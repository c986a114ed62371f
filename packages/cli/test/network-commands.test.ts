import test from 'ava';
import { command, commandTyped, sent } from './support/fake-daemon.js';

const BACK = {
  Id: 'net1aaaaaaaaaaaaaaaaaaaaa',
  Name: 'back',
  Created: '2026-01-01T00:00:00Z',
  Scope: 'swarm',
  Driver: 'overlay',
  EnableIPv4: true,
  EnableIPv6: false,
  IPAM: {
    Driver: 'default',
    Options: null,
    Config: [{ Subnet: '10.0.1.0/24', Gateway: '10.0.1.1' }],
  },
  Internal: false,
  Attachable: true,
  Ingress: false,
  Containers: null,
  Options: { 'com.docker.network.driver.overlay.vxlanid_list': '4097' },
  Labels: { a: 'b' },
};
const FRONT = { ...BACK, Id: 'net2bbbbbbbbbbbbbbbbbbbbb', Name: 'front', Labels: null };
const CREATED = { 'POST /networks/create': { Id: BACK.Id, Warning: '' } };

test('network create sends what its flags say', async (t) => {
  const done = await command(
    ...([t, CREATED, 'network', 'create'] as const),
    ...['--subnet', '10.1.0.0/24,fd01::/64', '--ip-range=10.1.0.128/25', '--gateway', '10.1.0.1'],
    ...['--ipv6', '--internal', '--attachable', '--label', 'a=b', '--label', 'c'],
    ...['-o', 'encrypted', '-o', 'com.docker.network.driver.mtu=1400', '--scope', 'swarm', 'back'],
  );
  t.is(done.code, 0, done.err);
  t.is(done.out, `${BACK.Id}\n`);
  const { body, headers } = sent(done, '/networks/create');
  t.deepEqual(body, {
    Name: 'back',
    CheckDuplicate: true,
    Driver: 'overlay',
    Scope: 'swarm',
    IPAM: {
      Driver: 'default',
      Config: [
        { Subnet: '10.1.0.0/24', IPRange: '10.1.0.128/25', Gateway: '10.1.0.1' },
        { Subnet: 'fd01::/64' },
      ],
    },
    Internal: true,
    Attachable: true,
    Ingress: false,
    EnableIPv6: true,
    Options: { encrypted: '', 'com.docker.network.driver.mtu': '1400' },
    Labels: { a: 'b', c: '' },
  });
  t.regex(headers['idempotency-key'] as string, /^"/);
  const plain = await command(t, CREATED, 'network', 'create', '--ipv4=false', '-d', 'bridge', 'x');
  t.like(sent(plain, '/networks/create').body, { EnableIPv4: false, Driver: 'bridge' });
});

for (const [flags, message] of [
  [
    ['--gateway', '10.1.0.1'],
    /^no matching subnet for gateway 10\.1\.0\.1: every ip-range or gateway/,
  ],
  [['--ip-range', '10.1.0.0/25'], /^no matching subnet for range 10\.1\.0\.0\/25/],
  [['--subnet', 'x'], /^invalid argument 'x' for --subnet: use a subnet such as/],
  [['--subnet', '10.1.0.0/24', '--gateway', 'x'], /^invalid argument 'x' for --gateway/],
  [
    ['--subnet', '10.1.0.0/24', '--gateway', '10.1.0.1,10.1.0.2'],
    /^cannot configure multiple gateways \(10\.1\.0\.2, 10\.1\.0\.1\) for the same subnet \(10\.1\.0\.0\/24\)/,
  ],
  [
    ['--subnet', '10.1.0.0/24', '--ip-range', '10.1.0.0/26,10.1.0.64/26'],
    /^cannot configure multiple ranges/,
  ],
  [['--aux-address', 'a=10.1.0.3'], /--aux-address/],
] as const) {
  test(`network create ${flags.join(' ')} asks no daemon`, async (t) => {
    const done = await command(t, {}, 'network', 'create', ...flags, 'x');
    t.is(done.code, 1);
    t.regex(done.err, message);
    t.deepEqual(done.asked, []);
  });
}

test('network ls lists by name, in every form', async (t) => {
  const answers = { 'GET /networks': [FRONT, BACK] };
  const list = await command(t, answers, 'network', 'ls', '-f', 'driver=overlay');
  t.is(
    list.out,
    'NETWORK ID     NAME      DRIVER    SCOPE\nnet1aaaaaaaa   back      overlay   swarm\nnet2bbbbbbbb   front     overlay   swarm\n',
  );
  t.is(list.asked[0]?.query.filters, '{"driver":{"overlay":true}}');
  t.is((await command(t, answers, 'network', 'ls', '-q')).out, 'net1aaaaaaaa\nnet2bbbbbbbb\n');
  const whole = await command(t, answers, 'network', 'ls', '-q', '--no-trunc');
  t.is(whole.out, `${BACK.Id}\n${FRONT.Id}\n`);
  const format = '{{.Name}} {{.Labels}} {{.IPv6}} {{.Internal}}';
  const rows = await command(t, answers, 'network', 'ls', '--format', format);
  t.is(rows.out, 'back a=b false false\nfront  false false\n');
});

test('network inspect shows JSON, a template, or a page with who is on it', async (t) => {
  const Services = {
    web: { VIP: '10.0.1.2', Ports: [], Tasks: [{ Name: 'web.1.x', EndpointIP: '10.0.1.3' }] },
  };
  const answers = { 'GET /networks/back': { ...BACK, Services } };
  const json = await command(t, answers, 'network', 'inspect', 'back');
  t.deepEqual(JSON.parse(json.out), [{ ...BACK, Services }]);
  t.deepEqual(json.asked[0]?.query, {});
  const format = '{{.ID}} {{(index .IPAM.Config 0).Subnet}} {{.Attachable}}';
  const field = await command(t, answers, 'network', 'inspect', '-f', format, 'back');
  t.is(field.out, `${BACK.Id} 10.0.1.0/24 true\n`, field.err);
  const pretty = await command(t, answers, 'network', 'inspect', '-v', '--pretty', 'back');
  t.is(pretty.asked[0]?.query.verbose, 'true');
  t.regex(pretty.out, /Subnet:\t\t10\.0\.1\.0\/24\n Gateway:\t10\.0\.1\.1/);
  t.regex(pretty.out, /Service:\tweb \(10\.0\.1\.2\)\n web\.1\.x\t10\.0\.1\.3/);
});

test('network rm removes each, and --force forgives what is gone', async (t) => {
  const used = { status: 400, message: 'network x is in use by service web' };
  const answers = { 'DELETE /networks/back': '', 'DELETE /networks/used': used };
  const done = await command(t, answers, 'network', 'rm', 'back', 'used', 'gone');
  t.is(done.code, 1);
  t.is(done.out, 'back\n');
  t.regex(done.err, /in use by service web\n.*networks\/gone not found/s);
  const forced = await command(t, answers, 'network', 'rm', '-f', 'gone', 'back');
  t.is(forced.code, 0, forced.err);
  t.is(forced.out, 'back\n');
});

test('network rm asks at a terminal before it removes the ingress network', async (t) => {
  const answers = {
    'GET /networks/back': BACK,
    'GET /networks/ingress': { ...BACK, Name: 'ingress', Ingress: true },
    'DELETE /networks/back': '',
    'DELETE /networks/ingress': '',
  };
  const removed = async (typed: string, ...words: string[]) => {
    const done = await commandTyped(t, typed, answers, 'network', 'rm', ...words);
    t.is(done.code, 0, done.err);
    t.is(done.err.includes('[y/N]'), !words.includes('--force'));
    return done.out;
  };
  t.is(await removed('y\n', 'ingress', 'back'), 'ingress\nback\n');
  t.is(await removed('n\n', 'ingress', 'back'), 'back\n');
  t.is(await removed('', 'ingress'), '', 'the input ends');
  t.is(await removed('', '--force', 'ingress'), 'ingress\n');
  const script = await command(t, answers, 'network', 'rm', 'ingress');
  t.is(script.out, 'ingress\n');
  t.deepEqual(
    script.asked.map(({ method }) => method),
    ['DELETE'],
  );
});

test('network prune needs --force, and lists what it removed', async (t) => {
  const answers = { 'POST /networks/prune': { NetworksDeleted: ['a', 'b'] } };
  const asking = await command(t, answers, 'network', 'prune');
  t.is(asking.code, 1);
  t.deepEqual(asking.asked, []);
  const done = await command(t, answers, 'network', 'prune', '-f', '--filter', 'label!=keep');
  t.is(done.out, 'Deleted Networks:\na\nb\n');
  t.is(done.asked[0]?.query.filters, '{"label!":{"keep":true}}');
});

const SERVICE = {
  ID: 'svc1aaaaaaaaaaaaaaaaaaaaa',
  Version: { Index: 10 },
  Spec: {
    Name: 'web',
    Labels: {},
    TaskTemplate: {
      ContainerSpec: { Image: 'host' },
      Networks: [{ Target: BACK.Id, Aliases: ['db'] }],
      ForceUpdate: 0,
    },
    Mode: { Replicated: { Replicas: 1 } },
    EndpointSpec: { Mode: 'vip' },
  },
  Endpoint: {
    Spec: { Mode: 'vip' },
    VirtualIPs: [{ NetworkID: BACK.Id, Addr: '10.0.1.2/24' }],
  },
};
const UPDATE = `/services/${SERVICE.ID}/update`;
const WITH_SERVICE = {
  'GET /services/web': SERVICE,
  [`GET /networks/${BACK.Id}`]: BACK,
  [`POST ${UPDATE}`]: {},
};

test('service update changes networks by name, whose ids the spec has', async (t) => {
  const update = (...flags: readonly string[]) =>
    command(t, WITH_SERVICE, 'service', 'update', '-d', ...flags, 'web');
  const networks = async (...flags: readonly string[]) =>
    sent(await update(...flags), UPDATE).body.TaskTemplate.Networks;
  t.deepEqual(await networks('--network-rm', 'back'), []);
  t.deepEqual(await networks('--network-rm', BACK.Id), []);
  t.deepEqual(await networks('--network-rm', 'back', '--network-add', 'name=front,alias=f'), [
    { Target: 'front', Aliases: ['f'] },
  ]);
  t.deepEqual(await networks('--network-add', 'name=back,alias=other'), [
    { Target: 'back', Aliases: ['other'] },
  ]);
  t.deepEqual(await networks('--network-add', 'name=back,alias=db'), [
    { Target: BACK.Id, Aliases: ['db'] },
  ]);
  const wrong = await update('--network-rm', 'nope');
  t.is(wrong.code, 1);
  t.regex(wrong.err, /^--network-rm nope: service web has no such network; it has back/);
});

test('service inspect --pretty shows networks by name, with the virtual addresses', async (t) => {
  const done = await command(t, WITH_SERVICE, 'service', 'inspect', '--pretty', 'web');
  t.is(done.code, 0, done.err);
  t.regex(
    done.out,
    /Networks:\tback\nEndpoint Mode:\tvip\nVirtual IPs:\n back:\t10\.0\.1\.2\/24\n/,
  );
  const gone = { 'GET /services/web': SERVICE };
  const without = await command(t, gone, 'service', 'inspect', '--pretty', 'web');
  t.regex(without.out, new RegExp(`Networks:\\t${BACK.Id}\\n`));
});
