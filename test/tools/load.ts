/**
 * Load with a new connection for each request. Runs until it has made `--requests`, or until its input ends;
 * then prints what it saw as one line of JSON.
 *   node load.js --targets 198.18.0.11,198.18.0.12 --port 8080 [--path /] [--concurrency 4]
 *     [--requests N] [--pause-ms 0] [--timeout-ms 10000]
 */
import { request } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import type { LoadResult } from './load-result.js';

const { values } = parseArgs({
  options: {
    targets: { type: 'string' },
    port: { type: 'string' },
    path: { type: 'string', default: '/' },
    concurrency: { type: 'string', default: '4' },
    requests: { type: 'string', default: '0' },
    'pause-ms': { type: 'string', default: '0' },
    'timeout-ms': { type: 'string', default: '10000' },
  },
});
const targets = (values.targets ?? '').split(',').filter((each) => each !== '');
const port = Number(values.port);
if (targets.length === 0 || !(port > 0)) throw new Error('give --targets and --port');
const limit = Number(values.requests);
const pauseMs = Number(values['pause-ms']);
const timeoutMs = Number(values['timeout-ms']);

let stopping = false;
if (limit === 0) {
  process.stdin.resume();
  process.stdin.on('end', () => {
    stopping = true;
  });
}

let started = 0;
const tasks: Record<string, number> = {};
const versions: Record<string, number> = {};
const clients: Record<string, number> = {};
const hosts: Record<string, number> = {};
const errors: Record<string, number> = {};
const latencies: number[] = [];
let failures = 0;
/** When the first of them failed. */
const failedAfterMs: number[] = [];
const FAILED_AFTER_LIMIT = 20;
const loadBegan = performance.now();

await Promise.all(Array.from({ length: Number(values.concurrency) }, worker));
latencies.sort((a, b) => a - b);
const result: LoadResult = {
  requests: started,
  failures,
  tasks,
  versions,
  clients,
  hosts,
  errors,
  failedAfterMs,
  p50Ms: at(0.5),
  p99Ms: at(0.99),
  maxMs: at(1),
};
process.stdout.write(`${JSON.stringify(result)}\n`);

async function worker(): Promise<void> {
  while (!stopping && (limit === 0 || started < limit)) {
    const target = targets[started % targets.length]!;
    started += 1;
    const begin = performance.now();
    try {
      const body = await get(target);
      latencies.push(performance.now() - begin);
      count(hosts, target);
      count(tasks, String(body.task));
      count(versions, String(body.version));
      count(clients, String(body.client));
    } catch (error) {
      failures += 1;
      if (failures <= FAILED_AFTER_LIMIT) {
        failedAfterMs.push(Math.round(performance.now() - loadBegan));
      }
      const { code, message } = error as NodeJS.ErrnoException;
      count(errors, `${target} ${code ?? message}`);
    }
    if (pauseMs > 0) await delay(pauseMs);
  }
}

function get(host: string): Promise<{ task?: string; version?: string; client?: string }> {
  return new Promise((resolve, reject) => {
    const call = request(
      { host, port, path: values.path, agent: false, timeout: timeoutMs },
      (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => {
          text += chunk;
        });
        response.on('error', reject);
        response.on('end', () => {
          if (response.statusCode !== 200) reject(new Error(`status ${response.statusCode}`));
          else resolve(JSON.parse(text));
        });
      },
    );
    call.on('timeout', () => call.destroy(new Error('timeout')));
    call.on('error', reject);
    call.end();
  });
}

function count(counts: Record<string, number>, key: string): void {
  counts[key] = (counts[key] ?? 0) + 1;
}

function at(part: number): number {
  return latencies[Math.min(latencies.length - 1, Math.floor(part * latencies.length))] ?? 0;
}
