import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';

/** Debian packages of the programs that make and serve load. */
const PACKAGES = { wrk: 'wrk', iperf3: 'iperf3', haproxy: 'haproxy' } as const;
const PATH = '/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin';
const env = { ...process.env, PATH };

function has(program: string): boolean {
  try {
    execFileSync('sh', ['-c', `command -v ${program}`], { stdio: 'ignore', env });
    return true;
  } catch {
    return false;
  }
}

/** Installs what is missing, where there is apt-get. @returns what is missing still */
export function missingPrograms(say: (text: string) => void): readonly string[] {
  const lacking = () =>
    Object.entries(PACKAGES).flatMap(([program, name]) => (has(program) ? [] : [name]));
  const missing = lacking();
  if (missing.length === 0 || !has('apt-get')) return missing;
  say(`installing ${missing.join(', ')}`);
  try {
    execFileSync('apt-get', ['install', '-y', '-q', '--no-install-recommends', ...missing], {
      stdio: 'ignore',
      // A package's own service would take ports of this machine.
      env: { ...env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' },
    });
  } catch {
    say('apt-get could not install them');
  }
  return lacking();
}

/** Programs that run inside namespaces until `close`. */
export class Running {
  readonly #children: ChildProcess[] = [];

  start(netns: string, command: readonly string[]): void {
    const child = spawn('nsenter', [`--net=/run/netns/${netns}`, ...command], {
      stdio: 'ignore',
      env,
    });
    // A failure shows in the first measurement: nobody listens.
    child.on('error', () => {});
    this.#children.push(child);
  }

  async close(): Promise<void> {
    await Promise.all(
      this.#children.map(async (child) => {
        if (child.exitCode !== null || child.signalCode !== null) return;
        child.kill('SIGKILL');
        await once(child, 'exit');
      }),
    );
  }
}

async function output(netns: string, command: readonly string[]): Promise<string> {
  const child = spawn('nsenter', [`--net=/run/netns/${netns}`, ...command], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env,
  });
  let text = '';
  let errors = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
  });
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    errors += chunk;
  });
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) throw new Error(`${command.join(' ')}: ${errors}${text}`);
  return text;
}

export interface HttpLoad {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Requests without a good answer. */
  readonly failed: number;
}

/** 16 connections in a closed loop. `isKept`: each is used again, otherwise each carries one request. */
export async function loadHttp(
  netns: string,
  { host, port, seconds, isKept }: { host: string; port: number; seconds: number; isKept: boolean },
): Promise<HttpLoad> {
  const text = await output(netns, [
    ...['wrk', '-t1', '-c16', `-d${seconds}s`, '--latency', '--timeout', '4s'],
    ...(isKept ? [] : ['-H', 'Connection: close']),
    `http://${host}:${port}/`,
  ]);
  const ms = (percent: number): number => {
    const found = new RegExp(`${percent}%\\s+([\\d.]+)(us|ms|s)`).exec(text);
    const unit = { us: 0.001, ms: 1, s: 1000 }[found?.[2] ?? ''];
    if (unit === undefined) throw new Error(`wrk printed no ${percent}%: ${text}`);
    return Number(found![1]) * unit;
  };
  const perSecond = Number(/Requests\/sec:\s+([\d.]+)/.exec(text)?.[1]);
  if (!(perSecond > 0)) throw new Error(`wrk counted no requests of ${host}:${port}: ${text}`);
  const errors = /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(text);
  const socketErrors = errors?.slice(1).reduce((sum, each) => sum + Number(each), 0) ?? 0;
  const bad = Number(/Non-2xx or 3xx responses: (\d+)/.exec(text)?.[1] ?? 0);
  return { perSecond, p50Ms: ms(50), p99Ms: ms(99), failed: socketErrors + bad };
}

/** One connection that sends as fast as it can. @returns megabits per second that arrived */
export async function loadBytes(
  netns: string,
  { host, port, seconds }: { host: string; port: number; seconds: number },
): Promise<number> {
  const text = await output(netns, [
    ...['iperf3', '-c', host, '-p', String(port), '-t', String(seconds), '-J'],
    ...['--connect-timeout', '4000'],
  ]);
  const { end } = JSON.parse(text) as { end: { sum_received: { bits_per_second: number } } };
  return end.sum_received.bits_per_second / 1e6;
}
