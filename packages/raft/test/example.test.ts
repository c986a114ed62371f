import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import test from 'ava';

const PROGRAM = join(import.meta.dirname, '..', 'examples', 'kv.js');
const DEADLINE_MS = 20_000;

/** One process of the example, driven by lines. */
class ExampleMember {
  readonly #process: ChildProcess;
  readonly #lines: Interface;

  constructor(folder: string, port: number, ports: readonly number[]) {
    const args = [PROGRAM, join(folder, String(port)), String(port), ...ports.map(String)];
    this.#process = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'ignore'] });
    this.#lines = createInterface({ input: this.#process.stdout! });
  }

  async ask(line: string): Promise<string> {
    const answer = once(this.#lines, 'line', { signal: AbortSignal.timeout(DEADLINE_MS) });
    this.#process.stdin!.write(`${line}\n`);
    return ((await answer) as [string])[0];
  }

  async kill(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const gone = once(this.#process, 'exit');
    this.#process.kill('SIGKILL');
    await gone;
  }

  /** Ends its input: it stops by itself. */
  async end(): Promise<number | null> {
    const gone = once(this.#process, 'exit', { signal: AbortSignal.timeout(DEADLINE_MS) });
    this.#process.stdin!.end();
    return ((await gone) as [number | null])[0];
  }
}

/** Only the leader accepts a write: asks all in turn. @returns which one accepted */
async function set(members: readonly ExampleMember[], line: string): Promise<ExampleMember> {
  const until = performance.now() + DEADLINE_MS;
  for (;;) {
    for (const member of members) if ((await member.ask(line)) === 'ok') return member;
    if (performance.now() > until) throw new Error(`nobody took: ${line}`);
    await delay(50);
  }
}

test('the example replicates over three processes and survives the death of its leader', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'raft-example-'));
  const ports = await freePorts(3);
  const members = ports.map((port) => new ExampleMember(folder, port, ports));
  try {
    const leader = await set(members, 'set colour blue');
    for (const member of members) t.is(await member.ask('get colour'), 'blue');
    await leader.kill();
    const left = members.filter((member) => member !== leader);
    await set(left, 'set colour green');
    // The killed one catches up.
    const at = members.indexOf(leader);
    members[at] = new ExampleMember(folder, ports[at]!, ports);
    t.is(await members[at].ask('get colour'), 'green');
    t.is(await members[at].ask('get shape'), '(none)');
    t.deepEqual(await Promise.all(members.map((member) => member.end())), [0, 0, 0]);
  } finally {
    for (const member of members) await member.kill();
    await rm(folder, { recursive: true });
  }
});

async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
  await Promise.all(servers.map((server) => once(server, 'listening')));
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
