import { createServer } from 'node:http';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import type { ExecutionContext } from 'ava';
import type { Input } from '../../src/command.js';
import { main } from '../../src/main.js';
import { type Recorder, recorder } from './recorder.js';

// Tests run command lines side by side in one process, and each one that waits listens for Ctrl-C.
process.setMaxListeners(0);

export interface Asked {
  readonly method: string;
  /** Without the version. */
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  readonly headers: NodeJS.Dict<string | string[]>;
  // biome-ignore lint/suspicious/noExplicitAny: whatever the command sends
  readonly body: any;
}

/** The daemon dies before it answers. */
export const LOST = Symbol('lost');

/** What answers is no daemon. */
export const GARBLED = Symbol('garbled');

/** An answer: a body, an error with its status and code, or raw bytes. */
export type Answer =
  | object
  | string
  | typeof LOST
  | typeof GARBLED
  | { readonly status: number; readonly message: string; readonly code?: string }
  | Buffer;

/** What a daemon answers, by `METHOD /path`; anything else is 404. A function sees the request. */
export type Answers = Readonly<Record<string, Answer | ((asked: Asked) => Answer)>>;

export interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly err: string;
  readonly asked: readonly Asked[];
}

/** Runs a command line against a daemon on a unix socket that answers as told. */
export function command(
  t: ExecutionContext,
  answers: Answers,
  ...argv: string[]
): Promise<Outcome> {
  return commandOn(t, recorder(), answers, ...argv);
}

/** The same on an output of the caller's, such as a terminal. */
export function commandOn(
  t: ExecutionContext,
  output: Recorder,
  answers: Answers,
  ...argv: string[]
): Promise<Outcome> {
  return run(t, { output }, answers, argv);
}

/** The same where the user types this at a terminal. */
export function commandTyped(
  t: ExecutionContext,
  typed: string,
  answers: Answers,
  ...argv: string[]
): Promise<Outcome> {
  const input = Object.assign(Readable.from([typed]), { isTTY: true });
  return run(t, { output: recorder(), input }, answers, argv);
}

async function run(
  t: ExecutionContext,
  { output, input }: { readonly output: Recorder; readonly input?: Input },
  answers: Answers,
  argv: readonly string[],
): Promise<Outcome> {
  const folder = mkdtempSync(join(tmpdir(), 'swarm-cli-'));
  const asked: Asked[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const url = new URL(request.url ?? '/', 'http://daemon');
      const text = Buffer.concat(chunks).toString();
      const one: Asked = {
        method: request.method ?? '',
        path: decodeURIComponent(url.pathname.replace('/v1.50', '')),
        query: Object.fromEntries(url.searchParams),
        headers: request.headers,
        body: text === '' ? undefined : JSON.parse(text),
      };
      asked.push(one);
      const found = answers[`${one.method} ${one.path}`];
      const given = typeof found === 'function' ? found(one) : found;
      const answer = given ?? { status: 404, message: `${one.path} not found` };
      if (answer === LOST) {
        request.socket.destroy();
        return;
      }
      if (answer === GARBLED) {
        request.socket.end('garbled\r\n\r\n');
        return;
      }
      const isError = typeof answer === 'object' && 'status' in answer && 'message' in answer;
      if (isError && 'code' in answer)
        response.setHeader('X-Swarm-Error-Code', answer.code as string);
      response.writeHead(isError ? (answer.status as number) : 200);
      response.end(Buffer.isBuffer(answer) ? answer : JSON.stringify(answer));
    });
  });
  const socket = join(folder, 'daemon.sock');
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  t.teardown(() => {
    server.close();
    rmSync(folder, { recursive: true, force: true });
  });
  const code = await main(['--host', `unix://${socket}`, ...argv], {
    ...{ output, node: () => import('@swarm/node') },
    ...(input && { input }),
  });
  return { code, out: output.out, err: output.err, asked };
}

/** The one request with a body that a command made. */
export function sent({ asked }: Outcome, path: string): Asked {
  const found = asked.filter((each) => each.method === 'POST' && each.path === path);
  if (found.length !== 1) throw new Error(`${found.length} requests to ${path}`);
  return found[0]!;
}
