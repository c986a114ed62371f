import { decode, type DecodedPacket, encode, type OptAnswer, type Packet } from 'dns-packet';
import test from 'ava';
import fc from 'fast-check';
import { type DnsQuery, RCODE, readQuery } from '../src/names/dns-query.js';
import { TCP_LIMIT, udpLimit, writeRefusal, writeReply } from '../src/names/dns-reply.js';
import { ip } from './support/name-views.js';

function question(name: string, change: Partial<Packet> = {}, type = 'A'): Buffer {
  const questions = [{ type: type as 'A', name }];
  return encode({ type: 'query', id: 7, flags: 0x100, questions, ...change });
}

const opt = (udpPayloadSize: number, ednsVersion = 0): OptAnswer => ({
  type: 'OPT',
  name: '.',
  udpPayloadSize,
  extendedRcode: 0,
  ednsVersion,
  flags: 0,
  flag_do: false,
  options: [],
});

function read(bytes: Uint8Array): DnsQuery {
  const found = readQuery(bytes);
  if (found.kind !== 'query') throw new Error(found.kind);
  return found.query;
}

/** The rcode of the refusal, or what it was instead. */
function refusal(bytes: Uint8Array): number | string {
  const found = readQuery(bytes);
  return found.kind === 'refused' ? found.rcode : found.kind;
}

function replied(bytes: Buffer): DecodedPacket & { readonly rcode?: string } {
  return decode(bytes);
}

const records = (count: number) =>
  Array.from({ length: count }, (_, at) => ({
    address: ip(`10.0.${at >> 8}.${at & 255}`),
    ttlS: 1,
  }));

test('a question is read: name in lower case, type, EDNS', (t) => {
  t.like(read(question('Web.Example.COM', {}, 'AAAA')), {
    id: 7,
    name: 'web.example.com',
    type: 28,
    hasEdns: false,
    udpBytes: 512,
  });
  const size = (bytes: number) => read(question('a', { additionals: [opt(bytes)] })).udpBytes;
  t.deepEqual([size(1232), size(65_535), size(100)], [1232, 4096, 512]);
  t.is(read(question('.')).name, '');
});

test('what is no question gets no answer', (t) => {
  const answer = encode({ type: 'response', id: 1, questions: [{ type: 'A', name: 'a' }] });
  t.is(refusal(answer), 'ignored');
  t.is(refusal(Buffer.alloc(11)), 'ignored');
});

test('what cannot be answered is refused, each with its reason', (t) => {
  const good = question('a.b');
  const changed = (at: number, value: number) => {
    const bytes = Buffer.from(good);
    bytes[at] = value;
    return bytes;
  };
  t.is(refusal(changed(2, 0x28)), RCODE.NOTIMP, 'an update');
  t.is(refusal(changed(5, 2)), RCODE.FORMERR, 'two questions');
  t.is(refusal(changed(5, 0)), RCODE.FORMERR, 'none');
  t.is(refusal(changed(7, 1)), RCODE.FORMERR, 'an answer in a question');
  t.is(refusal(changed(11, 9)), RCODE.FORMERR, 'more records than it has');
  t.is(refusal(changed(12, 0xc0)), RCODE.FORMERR, 'a pointer in its name');
  t.is(refusal(changed(12, 64)), RCODE.FORMERR, 'a label that is too long');
  t.is(refusal(good.subarray(0, good.length - 1)), RCODE.FORMERR, 'cut');
  t.is(refusal(changed(good.length - 1, 3)), RCODE.REFUSED, 'another class');
  t.is(refusal(changed(good.length - 3, 252)), RCODE.REFUSED, 'a zone transfer');
  t.is(refusal(question('a', { additionals: [opt(1232, 1)] })), RCODE.BADVERS);
  t.is(refusal(question('a', { additionals: [opt(1232), opt(1232)] })), RCODE.FORMERR);
  const label = Buffer.concat([Buffer.of(63), Buffer.alloc(63, 97)]);
  const long = Buffer.concat([good.subarray(0, 12), label, label, label, label, Buffer.alloc(5)]);
  t.is(refusal(long), RCODE.FORMERR, 'a name of more than 255 bytes');
});

test('an answer repeats the question as it was asked', (t) => {
  const query = read(question('WeB', { flags: 0x110 }));
  const reply = replied(writeReply(query, RCODE.NOERROR, records(2), udpLimit(query)));
  t.is(reply.id, 7);
  t.is(reply.questions?.[0]?.name, 'WeB');
  t.like(reply, { flag_qr: true, flag_rd: true, flag_ra: true, flag_aa: false, flag_tc: false });
  t.true(reply.flag_cd);
  t.deepEqual(
    reply.answers?.map((one) => [one.name, one.type, 'data' in one ? one.data : '']),
    [
      ['WeB', 'A', '10.0.0.0'],
      ['WeB', 'A', '10.0.0.1'],
    ],
  );
  t.deepEqual(reply.additionals, []);
});

test('addresses of both families and names are written', (t) => {
  const query = read(question('x', { additionals: [opt(1232)] }));
  const list = [
    { address: ip('fd00::1'), ttlS: 5 },
    { target: 'web.1.x.my_net', ttlS: 5 },
  ];
  const reply = replied(writeReply(query, RCODE.NOERROR, list, udpLimit(query)));
  const data = reply.answers?.map((one) => ('data' in one ? one.data : ''));
  t.deepEqual(data, ['fd00::1', 'web.1.x.my_net']);
  t.like(reply.additionals?.[0], { type: 'OPT', udpPayloadSize: 4096 });
});

test('a refusal names its reason, an extended one in the OPT record', (t) => {
  const query = read(question('x', { additionals: [opt(1232)] }));
  t.is(replied(writeRefusal(query, RCODE.SERVFAIL)).rcode, 'SERVFAIL');
  t.is(replied(writeRefusal(query, RCODE.NXDOMAIN)).rcode, 'NXDOMAIN');
  const reply = replied(writeRefusal(query, RCODE.BADVERS));
  t.like(reply.additionals?.[0], { type: 'OPT', extendedRcode: 1 });
});

test('an answer never exceeds what its client takes, and says when it is cut', (t) => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 600 }),
      fc.option(fc.integer({ min: 1, max: 65_535 }), { nil: undefined }),
      (count, size) => {
        const edns = size === undefined ? {} : { additionals: [opt(size)] };
        const query = read(question('tasks.web', edns));
        const bytes = writeReply(query, RCODE.NOERROR, records(count), udpLimit(query));
        const reply = replied(bytes);
        t.true(bytes.length <= Math.max(512, Math.min(size ?? 512, 4096)));
        t.is(reply.flag_tc, (reply.answers?.length ?? 0) < count);
        return true;
      },
    ),
  );
  const query = read(question('tasks.web'));
  const all = replied(writeReply(query, RCODE.NOERROR, records(600), TCP_LIMIT));
  t.is(all.answers?.length, 600);
  const most = writeReply(query, RCODE.NOERROR, records(10_000), TCP_LIMIT);
  t.true(most.length <= 65_535);
  t.true(replied(most).answers!.length > 4000);
});

test('whatever comes is a question, refused or ignored, and never an error', (t) => {
  const good = question('web.example', { additionals: [opt(1232)] });
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 600 }),
      fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { maxLength: 6 }),
      (noise, changes) => {
        const damaged = Buffer.from(good);
        for (const [at, value] of changes) damaged[at] = value;
        for (const bytes of [noise, damaged, damaged.subarray(0, noise.length)]) {
          const found = readQuery(bytes);
          if (found.kind === 'refused') decode(writeRefusal(found.head, found.rcode));
          if (found.kind === 'query')
            decode(writeReply(found.query, RCODE.NOERROR, records(3), udpLimit(found.query)));
        }
      },
    ),
    { numRuns: 2000 },
  );
  t.pass();
});
