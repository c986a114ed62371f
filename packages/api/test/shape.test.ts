import test from 'ava';
import fc from 'fast-check';
import {
  type NodeMesh,
  nodeDescriptionShape,
  type ObjectVersion,
  portConfigShape,
  serviceModeShape,
  ShapeError,
  shape,
  type TaskStatus,
  taskStatusShape,
} from '../src/index.js';

const status: TaskStatus = {
  Timestamp: '2026-11-30T10:00:00Z',
  State: 'running',
  Message: 'started',
};

/** The error of reading the value: `path: problem`. */
function refusal(target: shape.Shape<unknown>, value: unknown): string {
  try {
    target.read(value);
  } catch (error) {
    if (error instanceof ShapeError) return error.message;
    throw error;
  }
  throw new Error('it was read');
}

test('a shape that forgets a field of its type, or has its type wrong, does not compile', (t) => {
  // @ts-expect-error Index is missing
  shape.record<ObjectVersion>({});
  // @ts-expect-error Address is a string
  shape.record<NodeMesh>({ Index: shape.count, Address: shape.count, Subnet: shape.cidr });
  // @ts-expect-error Err is optional
  shape.record<Pick<TaskStatus, 'Err'>>({ Err: shape.text() });
  // @ts-expect-error State is not optional
  shape.record<{ State: string }>({ State: shape.optional(shape.text()) });
  // @ts-expect-error no such field
  shape.record<ObjectVersion>({ Index: shape.count, Other: shape.count });
  // @ts-expect-error one of the values is not named
  shape.choice<'a' | 'b'>({ a: true });
  t.pass();
});

test('fields that a shape does not know are dropped, and null counts as absent', (t) => {
  const read = taskStatusShape.read({ ...status, Err: null, Later: 5, AppliedAt: undefined });
  t.deepEqual(read, status);
  t.deepEqual(Object.keys(read), ['Timestamp', 'State', 'Message']);
});

test('the error says where and what is wrong', (t) => {
  const list = shape.list(taskStatusShape);
  t.is(
    refusal(list, [status, { ...status, PortStatus: { Ports: {} } }]),
    '[1].PortStatus.Ports: must be a list, not an object',
  );
  t.is(refusal(list, [{ ...status, Timestamp: undefined }]), '[0].Timestamp: is missing');
  const map = shape.map(shape.count);
  t.is(refusal(map, { 'a\n': 'b' }), '["a\\n"]: must be a whole number, not a string');
});

test('values that JSON cannot express are refused at any depth', (t) => {
  const description = {
    Hostname: 'n1',
    Platform: { Architecture: 'x86_64', OS: 'linux' },
    Resources: { NanoCPUs: 4e9, MemoryBytes: 8 * 1024 ** 3 },
    Engine: { EngineVersion: '1.0' },
  };
  t.deepEqual(nodeDescriptionShape.read(description), description);
  const wrong = [
    2n ** 63n,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    2 ** 53,
    0.5,
    '4',
    [],
    new Date(0),
  ];
  for (const MemoryBytes of wrong) {
    const error = refusal(nodeDescriptionShape, { ...description, Resources: { MemoryBytes } });
    t.regex(error, /^Resources\.MemoryBytes: must be a whole number/);
  }
  for (const wrongMap of [new Map(), new Date(0), new Uint8Array(2), [], /x/]) {
    t.regex(refusal(nodeDescriptionShape, { ...description, Platform: wrongMap }), /^Platform: /);
  }
  for (const inner of [1n, new Date(0), new Uint8Array(1), Number.NaN, new Map()]) {
    t.regex(refusal(shape.jsonObject, { a: [inner] }), /^\["a"\]\[0\]: /);
  }
});

test('a part that is kept unread has limits, and is returned as a copy', (t) => {
  const value = { a: { b: [1, 'x', null, true] } };
  const read = shape.jsonObject.read(value);
  t.deepEqual(read, value);
  t.not(read, value);
  let deep: object = {};
  for (let level = 0; level <= shape.JSON_DEPTH_LIMIT; level += 1) deep = { deep };
  t.regex(refusal(shape.jsonObject, deep), /nested deeper than/);
  const wide = { a: Array.from({ length: shape.JSON_VALUES_LIMIT }, () => 0) };
  t.regex(refusal(shape.jsonObject, wide), /at most 10000 values/);
});

test('a service has exactly one mode', (t) => {
  const mode = { ReplicatedJob: { MaxConcurrent: 2 } };
  t.deepEqual(serviceModeShape.read({ ...mode, Global: null }), mode);
  t.regex(refusal(serviceModeShape, {}), /exactly one of Replicated, Global/);
  t.regex(refusal(serviceModeShape, { ...mode, Global: {} }), /exactly one of/);
  t.regex(refusal(serviceModeShape, { Replicated: {} }), /^Replicated.Replicas/);
});

test('a key cannot reach the prototype of the result', (t) => {
  const value = JSON.parse('{"__proto__":{"polluted":1}}');
  t.regex(refusal(shape.jsonObject, value), /must have another name/);
  t.regex(refusal(shape.map(shape.jsonObject), value), /must have another name/);
  const read = taskStatusShape.read({ ...status, ...JSON.parse('{"__proto__":{"Err":"x"}}') });
  t.is(Object.getPrototypeOf(read), Object.prototype);
  t.false('Err' in read);
});

test('limits hold for texts, lists, maps and numbers', (t) => {
  t.regex(refusal(shape.text(3), 'four'), /at most 3 characters/);
  t.regex(refusal(shape.list(shape.count, 2), [1, 2, 3]), /at most 2 elements/);
  t.regex(refusal(shape.map(shape.count, { max: 1 }), { a: 1, b: 2 }), /at most 1 entries/);
  t.regex(refusal(shape.integer(1, 5), 6), /between 1 and 5/);
  t.regex(refusal(shape.bytes(1), new Uint8Array(2)), /at most 1 bytes/);
  t.regex(
    refusal(portConfigShape, { Protocol: 'tcp', TargetPort: 0, PublishMode: 'host' }),
    /^TargetPort/,
  );
  t.true(Object.is(shape.integer(-1).read(-0), 0));
});

test('a text is cut between characters, and a lone surrogate does not survive', (t) => {
  t.is(shape.cut(4).read('aé€'), 'aé');
  t.is(shape.cut(5).read('a😀😀'), 'a😀');
  t.is(shape.cut(3).read('a😀'), 'a');
  t.is(shape.text().read('a\ud800b\udc00'), 'a\ufffdb\ufffd');
  t.is(shape.text().read('\0\x1b[31m😀'), '\0\x1b[31m😀');
});

test('a status within its limits takes less than 8 KiB without its ports', (t) => {
  const unit = fc.constantFrom('a', 'é', '€', '😀', '\ud800', '\0');
  const long = fc.array(unit, { minLength: 0, maxLength: 6000 }).map((units) => units.join(''));
  fc.assert(
    fc.property(long, long, (Message, Err) => {
      const read = taskStatusShape.read({
        ...status,
        Message,
        Err,
        ContainerStatus: { ContainerID: 'c'.repeat(256), PID: 2 ** 53 - 1, ExitCode: -1 },
        Address: 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff',
        Ready: true,
      });
      const bytes = Buffer.byteLength(read.Message) + Buffer.byteLength(read.Err ?? '');
      t.true(bytes + 1024 < 8 * 1024);
      t.true(Message.toWellFormed().startsWith(read.Message));
    }),
    { numRuns: 50 },
  );
});

test('what a shape reads survives JSON unchanged, and reading it again changes nothing', (t) => {
  let objects = 0;
  fc.assert(
    fc.property(
      fc.anything({ withBigInt: true, withDate: true, withTypedArray: true }),
      (value) => {
        let read: object;
        try {
          read = shape.jsonObject.read(value);
        } catch (error) {
          if (error instanceof ShapeError) return;
          throw error;
        }
        objects += 1;
        t.deepEqual(JSON.parse(JSON.stringify(read)), read);
        t.deepEqual(shape.jsonObject.read(read), read);
      },
    ),
    { numRuns: 1000 },
  );
  t.true(objects > 0, 'some of it was an object');
});
