/**
 * The load: a number of clients, each with one write in flight, against a leader of either system.
 */
import { answerCalls } from './child.js';
import { KEY_BYTES, KEY_COUNT } from './client-protocol.js';
import { connectEtcd } from './etcd-writer.js';
import { connectMember } from './member-writer.js';
import type { Writer } from './writer.js';

export interface LoadOrder {
  readonly system: 'ours' | 'etcd';
  readonly port: number;
  readonly clients: number;
  /** Not counted: code gets compiled, connections are made. */
  readonly warmUpMs: number;
  readonly durationMs: number;
}

export interface LoadResult {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly writes: number;
  readonly failed: number;
  /** The load's own share of a processor. */
  readonly cpu: number;
}

/**
 * Clients share connections, as they would behind a pool; etcd's own benchmark has 10 per
 * connection.
 */
const CLIENTS_PER_CONNECTION = 10;

async function run(order: LoadOrder): Promise<LoadResult> {
  const connect = order.system === 'ours' ? connectMember : connectEtcd;
  const count = Math.ceil(order.clients / CLIENTS_PER_CONNECTION);
  const writers: Writer[] = [];
  for (let i = 0; i < count; i++) writers.push(await connect(order.port));
  const latenciesMs: number[] = [];
  let failed = 0;
  let counting = false;
  let ended = false;
  const client = (number: number): Promise<void> =>
    new Promise((resolve) => {
      const writer = writers[number % count]!;
      const next = (): void => {
        if (ended) {
          resolve();
          return;
        }
        const begin = performance.now();
        writer.write(randomKey(), (ok) => {
          if (counting && ok) latenciesMs.push(performance.now() - begin);
          if (!ok) failed++;
          // A system that refuses at once must not make the load spin.
          if (ok) next();
          else setTimeout(next, 10);
        });
      };
      next();
    });
  const all = Promise.all(Array.from({ length: order.clients }, (_, i) => client(i)));
  await sleep(order.warmUpMs);
  counting = true;
  const cpuBefore = process.cpuUsage();
  const begin = performance.now();
  await sleep(order.durationMs);
  counting = false;
  const seconds = (performance.now() - begin) / 1000;
  const cpu = process.cpuUsage(cpuBefore);
  ended = true;
  await all;
  for (const writer of writers) writer.close();
  const sorted = Float64Array.from(latenciesMs).sort();
  const at = (share: number) => sorted[Math.floor(sorted.length * share)] ?? Number.NaN;
  return {
    perSecond: sorted.length / seconds,
    p50Ms: at(0.5),
    p99Ms: at(0.99),
    writes: sorted.length,
    failed,
    cpu: (cpu.user + cpu.system) / 1e6 / seconds,
  };
}

function randomKey(): Buffer {
  const key = Buffer.alloc(KEY_BYTES);
  key.writeUInt16BE(Math.floor(Math.random() * KEY_COUNT), KEY_BYTES - 2);
  return key;
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

answerCalls({ run });
