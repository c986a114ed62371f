import {
  type AgentMessage,
  DISPATCH_FRAME_LIMIT_BYTES,
  isTaskState,
  type ManagerMessage,
  type TaskStatus,
} from '@swarm/api';
import { Packr } from 'msgpackr';
import { STATUS_TEXT_LIMIT, STATUS_UPDATES_LIMIT } from './limits.js';

/** A frame that an agent should not have sent. The message says what is wrong with it. */
export class MalformedMessage extends Error {
  override readonly name = 'MalformedMessage';
}

type Fields = Readonly<Record<string, unknown>>;

/** Turns messages of a dispatcher session into frames and back: plain msgpack maps. */
export class DispatchCodec {
  // Without records every frame stands for itself, and any msgpack library can read it.
  readonly #packr = new Packr({ useRecords: false, encodeUndefinedAsNil: true });

  encode(message: ManagerMessage): Buffer {
    // msgpackr reuses its buffer; ws may hold on to what it is given.
    return Buffer.from(this.#packr.pack(message));
  }

  /** @throws MalformedMessage when the frame is none, or breaks the contract in wire/dispatch.ts */
  decode(frame: Uint8Array): AgentMessage {
    if (frame.byteLength > DISPATCH_FRAME_LIMIT_BYTES) throw new MalformedMessage('frame too long');
    let fields: unknown;
    try {
      fields = this.#packr.unpack(frame);
    } catch (error) {
      throw new MalformedMessage('not msgpack', { cause: error });
    }
    if (!isMap(fields)) throw new MalformedMessage('not a map');
    return readMessage(fields);
  }
}

function readMessage(fields: Fields): AgentMessage {
  switch (fields.type) {
    case 'hello':
      return {
        type: 'hello',
        protocol: count(fields, 'protocol'),
        description: description(fields),
        dataPathAddr: text(fields, 'dataPathAddr'),
        meshGeneration: count(fields, 'meshGeneration'),
      };
    case 'heartbeat':
      return { type: 'heartbeat' };
    case 'status':
      return { type: 'status', sequence: count(fields, 'sequence'), updates: statuses(fields) };
    case 'mesh-ack':
      return { type: 'mesh-ack', generation: count(fields, 'generation') };
    case 'description':
      return { type: 'description', description: description(fields) };
    case 'log':
      return { type: 'log', subscription: text(fields, 'subscription'), lines: lines(fields) };
    case 'log-end':
      return {
        type: 'log-end',
        subscription: text(fields, 'subscription'),
        ...(fields.error == null ? {} : { error: text(fields, 'error') }),
      };
    default:
      throw new MalformedMessage(`unknown type ${JSON.stringify(fields.type)?.slice(0, 40)}`);
  }
}

function isMap(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function text(fields: Fields, name: string): string {
  const value = fields[name];
  if (typeof value !== 'string') throw new MalformedMessage(`${name} is not a string`);
  return value;
}

function count(fields: Fields, name: string): number {
  const value = fields[name];
  if (!Number.isSafeInteger(value) || (value as number) < 0) {
    throw new MalformedMessage(`${name} is not a count`);
  }
  return value as number;
}

function list(fields: Fields, name: string): readonly Fields[] {
  const value = fields[name];
  if (!Array.isArray(value) || !value.every(isMap)) {
    throw new MalformedMessage(`${name} is not a list of maps`);
  }
  return value;
}

function description(fields: Fields) {
  const value = fields.description;
  if (!isMap(value)) throw new MalformedMessage('description is not a map');
  text(value, 'Hostname');
  const { Platform, Resources, Engine } = value;
  if (!isMap(Platform) || !isMap(Resources) || !isMap(Engine)) {
    throw new MalformedMessage('description lacks Platform, Resources or Engine');
  }
  return value as unknown as Extract<AgentMessage, { type: 'hello' }>['description'];
}

function statuses(fields: Fields): Extract<AgentMessage, { type: 'status' }>['updates'] {
  const updates = list(fields, 'updates');
  if (updates.length > STATUS_UPDATES_LIMIT) throw new MalformedMessage('too many updates');
  return updates.map((update) => {
    if (!isMap(update.status)) throw new MalformedMessage('status is not a map');
    return { taskId: text(update, 'taskId'), status: status(update.status) };
  });
}

/** Only the manager sets AppliedAt; long texts are cut, as every task keeps them in memory. */
function status(fields: Fields): TaskStatus {
  const State = text(fields, 'State');
  // `remove` is a desired state only, and only managers give a task up.
  if (!isTaskState(State) || State === 'remove' || State === 'orphaned') {
    throw new MalformedMessage(`${JSON.stringify(State).slice(0, 40)} is not a task state`);
  }
  if (Number.isNaN(Date.parse(text(fields, 'Timestamp')))) {
    throw new MalformedMessage('Timestamp is not a time');
  }
  if (fields.PortStatus != null && !isMap(fields.PortStatus)) {
    throw new MalformedMessage('PortStatus is not a map');
  }
  const { AppliedAt: _, ...kept } = fields;
  return {
    ...kept,
    State,
    Timestamp: text(fields, 'Timestamp'),
    Message: text(fields, 'Message').slice(0, STATUS_TEXT_LIMIT),
    ...(typeof fields.Err === 'string' ? { Err: fields.Err.slice(0, STATUS_TEXT_LIMIT) } : {}),
  };
}

function lines(fields: Fields): Extract<AgentMessage, { type: 'log' }>['lines'] {
  return list(fields, 'lines').map((line) => {
    const { stream, data } = line;
    if (stream !== 'stdout' && stream !== 'stderr') throw new MalformedMessage('no such stream');
    if (!(data instanceof Uint8Array)) throw new MalformedMessage('data is not bytes');
    return { taskId: text(line, 'taskId'), stream, timestamp: text(line, 'timestamp'), data };
  });
}
