/**
 * A task of the chaos run: one file, so that it runs wherever the lab puts it. Port 80 is HTTP, 81 is TCP by lines
 * (who speaks first is the server, with its name), 82 is UDP. Writes what it got to a file of its own before it
 * answers, so that the file also says what died with it.
 *   TASK=ID NODE=HOST OUT=FOLDER node server.mjs
 */
import { createSocket } from 'node:dgram';
import { openSync, writeSync } from 'node:fs';
import { createServer as createHttpServer, type ServerResponse } from 'node:http';
import { createServer, type Socket } from 'node:net';

const { TASK = '', NODE = '', OUT = '.' } = process.env;
const file = openSync(`${OUT}/server-${TASK}.jsonl`, 'a');
/** How long connections that a client keeps open may go on after the stop signal. */
const LINGER_MS = 3_000;
let stopping = false;

function note(line: object): void {
  writeSync(file, `${JSON.stringify({ task: TASK, node: NODE, at: Date.now(), ...line })}\n`);
}

function answer(response: ServerResponse, id: string | null): void {
  note({ got: id });
  // A client that keeps its connection learns here that it must make another one.
  if (stopping) response.setHeader('connection', 'close');
  response.end(TASK);
}

const web = createHttpServer((request, response) => {
  answer(response, new URL(request.url ?? '/', 'http://x').searchParams.get('id'));
});
web.keepAliveTimeout = 120_000;

const held = new Set<Socket>();
const lines = createServer({ allowHalfOpen: true }, (socket) => {
  held.add(socket);
  socket.on('close', () => held.delete(socket));
  socket.on('error', () => socket.destroy());
  socket.write(`${TASK}\n`);
  let waits = false;
  socket.setEncoding('utf8').on('data', (text: string) => {
    const half = /HALF (\d+)\n/.exec(text);
    if (half === null) socket.write(text);
    else {
      waits = true;
      setTimeout(() => socket.end('DONE\n'), Number(half[1]));
    }
  });
  socket.on('end', () => {
    if (!waits) socket.end();
  });
});

const datagrams = createSocket('udp4', (message, { address, port }) => {
  datagrams.send(`${TASK} ${message}`, port, address);
});

web.listen(80, '0.0.0.0');
lines.listen(81, '0.0.0.0');
datagrams.bind(82, '0.0.0.0', () => note({ is: 'up' }));
process.on('SIGTERM', () => {
  stopping = true;
  note({ is: 'stopping' });
  web.close();
  lines.close();
  setTimeout(() => {
    note({ is: 'ended' });
    process.exit(0);
  }, LINGER_MS);
});
