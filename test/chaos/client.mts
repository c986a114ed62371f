/**
 * A client of the chaos run, outside or as a task: one file, so that it runs wherever the lab puts it. Through each
 * entry it makes one-request connections, requests on one that it keeps, half-closed ones, one that lives as long as it
 * may, and UDP with one socket. Writes each failure at once and counts every second, as JSON lines.
 *   NODE=NAME TASK=NAME OUT=FOLDER node client.mjs --entries 198.18.0.11,… [--web 80] [--lines 81] [--udp 82] [--half-ms N]
 * An entry may be `web/hold`: the names of the services for HTTP and for the rest.
 */
import { createSocket } from 'node:dgram';
import { lookup } from 'node:dns/promises';
import { openSync, writeSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: {
    entries: { type: 'string', default: '' },
    web: { type: 'string', default: '80' },
    lines: { type: 'string', default: '81' },
    udp: { type: 'string', default: '82' },
    'half-ms': { type: 'string', default: '90000' },
  },
});
/** Where it runs, which judges by its name. */
const { NODE: client = '', TASK = '', OUT = '.' } = process.env;
const file = openSync(`${OUT}/client-${TASK}.jsonl`, 'a');
const REQUEST_EVERY_MS = 200;
const REQUEST_LIMIT_MS = 15_000;
const PING_EVERY_MS = 1_000;
const HALF_EVERY_MS = 10_000;
const DATAGRAM_EVERY_MS = 200;
/** A UDP flow without answers for longer is written down. */
const SILENT_MS = 1_000;
const counts: Record<string, number> = {};
let stopping = false;
let serial = 0;

function say(line: object): void {
  if (!stopping) writeSync(file, `${JSON.stringify({ client, ...line })}\n`);
}

function count(kind: string, entry: string): void {
  counts[`${kind} ${entry}`] = (counts[`${kind} ${entry}`] ?? 0) + 1;
}

/** Once tried, how it went. */
interface Try {
  readonly id: string;
  readonly start: number;
  connected?: number;
  task?: string;
}

async function attempt(
  kind: string,
  entry: string,
  work: (it: Try) => Promise<void>,
): Promise<void> {
  serial += 1;
  const it: Try = { id: `${TASK}-${serial}`, start: Date.now() };
  try {
    await work(it);
    count(kind, entry);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    say({ kind, entry, ...it, end: Date.now(), error: code ?? message });
  }
}

function get(it: Try, host: string, agent: Agent | false): Promise<void> {
  return new Promise((resolve, reject) => {
    const path = `/?id=${it.id}`;
    const call = request({ host, port: Number(values.web), path, agent, family: 4 });
    const limit = setTimeout(() => call.destroy(new Error('no answer')), REQUEST_LIMIT_MS);
    call.on('socket', (socket) => {
      if (!socket.connecting) it.connected = Date.now();
      else socket.once('connect', () => (it.connected = Date.now()));
    });
    call.on('response', (response) => {
      response.on('error', reject);
      response.resume().on('end', () => (response.complete ? resolve() : reject(new Error('cut'))));
    });
    call.on('error', reject);
    call.on('close', () => clearTimeout(limit));
    call.end();
  });
}

/** A connection by lines. @param onLine called with each line after the server's name; returns false to end */
function talk(
  it: Try,
  host: string,
  begin: (write: (text: string, last?: boolean) => void) => void,
  onLine: (line: string, write: (text: string) => void) => boolean,
  silentMs: number,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({
      host,
      port: Number(values.lines),
      family: 4,
      allowHalfOpen: true,
    });
    let text = '';
    const write = (what: string, last = false): void => {
      if (last) socket.end(what);
      else socket.write(what);
    };
    let limit = setTimeout(() => socket.destroy(new Error('silent')), REQUEST_LIMIT_MS);
    socket.on('connect', () => (it.connected = Date.now()));
    socket.setEncoding('utf8').on('data', (chunk: string) => {
      clearTimeout(limit);
      limit = setTimeout(() => socket.destroy(new Error('silent')), silentMs);
      text += chunk;
      for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n')) {
        const line = text.slice(0, at);
        text = text.slice(at + 1);
        if (it.task === undefined) {
          it.task = line;
          begin(write);
        } else if (!onLine(line, write)) {
          resolve();
          socket.destroy();
          return;
        }
      }
    });
    socket.on('end', () => reject(new Error('ended')));
    socket.on('error', reject);
    socket.on('close', () => {
      clearTimeout(limit);
      reject(new Error('closed'));
    });
  });
}

async function repeat(everyMs: number, work: () => Promise<void>): Promise<void> {
  while (!stopping) {
    const next = Date.now() + everyMs;
    await work();
    await delay(Math.max(0, next - Date.now()));
  }
}

function half(it: Try, host: string): Promise<void> {
  const ms = Number(values['half-ms']);
  return talk(
    it,
    host,
    (write) => write(`HALF ${ms}\n`, true),
    () => false,
    ms + REQUEST_LIMIT_MS,
  );
}

function long(it: Try, host: string): Promise<void> {
  const ping = (write: (text: string) => void): void => write(`${Date.now()}\n`);
  const onLine = (_: string, write: (text: string) => void): boolean => {
    count('ping', host);
    setTimeout(() => ping(write), PING_EVERY_MS);
    return true;
  };
  return talk(it, host, ping, onLine, REQUEST_LIMIT_MS);
}

/** One socket to one address; names are looked up once, as programs do. */
async function datagrams(host: string): Promise<void> {
  let address: string | undefined;
  while (address === undefined) {
    address = (await lookup(host, 4).catch(() => undefined))?.address;
    if (address === undefined) await delay(DATAGRAM_EVERY_MS);
  }
  const socket = createSocket('udp4');
  let last = Date.now();
  let task: string | undefined;
  socket.on('error', () => {});
  socket.on('message', (message) => {
    const now = Date.now();
    const from = String(message).split(' ')[0]!;
    if (now - last > SILENT_MS) {
      const id = `${TASK}-udp`;
      say({
        kind: 'udp',
        entry: host,
        id,
        start: last,
        end: now,
        task,
        error: `silent, then ${from}`,
      });
    }
    count('udp', host);
    last = now;
    task = from;
  });
  for (let n = 0; !stopping; n += 1) {
    socket.send(String(n), Number(values.udp), address, () => {});
    await delay(DATAGRAM_EVERY_MS);
  }
  socket.close();
}

process.on('SIGTERM', () => {
  say({ counts });
  stopping = true;
  process.exit(0);
});
setInterval(() => say({ counts }), 1_000);
for (const entry of values.entries.split(',')) {
  const [web, hold = web] = entry.split('/') as [string, string?];
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  void repeat(REQUEST_EVERY_MS, () => attempt('one', web, (it) => get(it, web, false)));
  void repeat(REQUEST_EVERY_MS, () => attempt('keep', web, (it) => get(it, web, agent)));
  void repeat(HALF_EVERY_MS, async () => {
    void attempt('half', hold, (it) => half(it, hold));
  });
  void repeat(REQUEST_EVERY_MS, () => attempt('long', hold, (it) => long(it, hold)));
  void datagrams(hold);
}
