import { type ChildProcess, spawn } from 'node:child_process';
import {
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { connect, type Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import {
  type ResolverConnection,
  type ResolverProcess,
  ResolverRefusal,
} from '../../names/resolver-process.js';
import {
  type ResolverOrder,
  resolverGreetingShape,
  resolverReplyShape,
} from '../../names/resolver-orders.js';
import { onFrames, sendFrame } from './frames.js';
import { resolverFiles, runningMark, withSocketPath } from './resolver-files.js';
import { RESOLVER_VERSION } from './resolver-version.js';

/** A busy machine starts Node.js in a few seconds. */
const START_LIMIT_MS = 10_000;
/** A resolver that runs says its version at once. */
const GREETING_LIMIT_MS = 2_000;
const KILL_LIMIT_MS = 5_000;
const KILL_LOOK_MS = 5;
/** How much of what it printed before it failed is shown. */
const OUTPUT_LIMIT_CHARS = 1024;
/**
 * It makes only short-lived garbage, and little: with a small young generation its resident memory stays lower at the
 * same speed.
 */
const NODE_FLAGS = ['--max-semi-space-size=1', '--max-old-space-size=256'];

export interface SystemResolverOptions {
  /** Only for the resolver's files; made if it does not exist. */
  readonly folder: string;
  /** Names the host's name servers. Default `/etc/resolv.conf`. */
  readonly resolvConf?: string;
}

/** The resolver as a process of this host, in this process's network namespace, which outlives this process. */
export function systemResolver({ folder, resolvConf }: SystemResolverOptions): ResolverProcess {
  const files = resolverFiles(folder);
  const script = fileURLToPath(new URL('./resolver-main.js', import.meta.url));

  const kill = async (): Promise<void> => {
    const mark = runningMark(files.process);
    if (mark !== undefined) {
      process.kill(mark.pid, 'SIGKILL');
      const endMs = performance.now() + KILL_LIMIT_MS;
      while (runningMark(files.process) !== undefined) {
        if (performance.now() > endMs) {
          throw new Error(`the resolver of names, process ${mark.pid}, cannot be ended`);
        }
        await new Promise((resolve) => setTimeout(resolve, KILL_LOOK_MS));
      }
    }
    rmSync(files.socket, { force: true });
    rmSync(files.process, { force: true });
  };

  const start = async (): Promise<void> => {
    await kill();
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    if ((statSync(files.output, { throwIfNoEntry: false })?.size ?? 0) > 0)
      renameSync(files.output, files.failure);
    const output = openSync(files.output, 'w', 0o600);
    let child: ChildProcess;
    try {
      child = spawn(
        process.execPath,
        [...NODE_FLAGS, script, folder, ...(resolvConf === undefined ? [] : [resolvConf])],
        { cwd: '/', detached: true, stdio: ['ignore', 'pipe', output] },
      );
    } finally {
      closeSync(output);
    }
    child.unref();
    const ready = await new Promise<boolean>((resolve) => {
      const timer = setTimeout(() => resolve(false), START_LIMIT_MS);
      child.once('error', () => resolve(false));
      child.once('exit', () => resolve(false));
      child.stdout!.once('data', () => resolve(true));
      child.stdout!.once('close', () => clearTimeout(timer));
    });
    child.stdout!.destroy();
    if (ready) return;
    child.kill('SIGKILL');
    throw new Error(`the resolver of names did not start: ${printed(files.output)}`);
  };

  const find = async (): Promise<ResolverConnection | undefined> => {
    const found = await connectTo(files.socket);
    if (found?.version === RESOLVER_VERSION) return found.connection;
    found?.connection.close();
    return undefined;
  };

  return {
    async open({ mayStart }) {
      const running = await find();
      if (running !== undefined) return running;
      if (!mayStart) return undefined;
      await start();
      const started = await find();
      if (started === undefined) throw new Error('the resolver of names ended at once');
      return started;
    },
    kill,
  };
}

interface Found {
  readonly version: string;
  readonly connection: ResolverConnection;
}

/** @returns undefined if nobody listens, or who listens says nothing */
async function connectTo(path: string): Promise<Found | undefined> {
  const socket = await withSocketPath(
    path,
    (short) =>
      new Promise<Socket | undefined>((resolve) => {
        const made = connect(short);
        made.once('connect', () => resolve(made));
        made.once('error', () => resolve(undefined));
      }),
  ).catch(() => undefined);
  if (socket === undefined) return undefined;
  const connection = new SocketConnection(socket);
  const version = await connection.greeting();
  if (version === undefined) {
    connection.close();
    return undefined;
  }
  return { version, connection };
}

/** Orders and replies over the resolver's socket, one at a time. */
class SocketConnection implements ResolverConnection {
  readonly #socket: Socket;
  #waiting: ((value: unknown) => void) | undefined;
  #failed: ((error: Error) => void) | undefined;
  #onEnd: (() => void) | undefined;
  #hasEnded = false;

  constructor(socket: Socket) {
    this.#socket = socket;
    onFrames(socket, (value) => this.#waiting?.(value));
    socket.on('error', () => {});
    socket.on('close', () => {
      this.#hasEnded = true;
      this.#failed?.(new Error('the resolver of names has ended'));
      this.#onEnd?.();
    });
  }

  /** @returns undefined if it says nothing in time */
  async greeting(): Promise<string | undefined> {
    const timer = setTimeout(() => this.#socket.destroy(), GREETING_LIMIT_MS);
    try {
      return resolverGreetingShape.read(await this.#next()).version;
    } catch {
      return undefined;
    } finally {
      clearTimeout(timer);
    }
  }

  async order(order: ResolverOrder): Promise<void> {
    if (this.#hasEnded) throw new Error('the resolver of names has ended');
    const reply = this.#next();
    sendFrame(this.#socket, order);
    const { error } = resolverReplyShape.read(
      await reply.catch((failure: Error) => {
        // That it is gone is its reply.
        if (order.type === 'end') return {};
        throw failure;
      }),
    );
    if (error !== undefined) throw new ResolverRefusal(error);
  }

  onEnd(listener: () => void): void {
    if (this.#hasEnded) listener();
    else this.#onEnd = listener;
  }

  close(): void {
    this.#onEnd = undefined;
    this.#socket.destroy();
  }

  #next(): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.#waiting = resolve;
      this.#failed = reject;
    });
  }
}

/** What the resolver printed before it ended. */
function printed(path: string): string {
  try {
    return readFileSync(path, 'utf8').slice(0, OUTPUT_LIMIT_CHARS).trim() || 'it printed nothing';
  } catch {
    return 'it printed nothing';
  }
}
