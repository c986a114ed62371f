import test from 'ava';
import { impurities } from './purity.mjs';

const found = (source) => impurities(source).map(({ what }) => what);

const IMPURE = {
  "import { readFile } from 'node:fs/promises';": 'imports node:fs/promises',
  "import net from 'node:net';": 'imports node:net',
  "import { connect, isIP } from 'node:net';": 'imports node:net (connect)',
  "import { randomBytes } from 'node:crypto';": 'imports node:crypto (randomBytes)',
  "import * as crypto from 'node:crypto';": 'imports node:crypto',
  "import { type Socket, createServer } from 'node:net';": 'imports node:net (createServer)',
  "import {\n  spawn,\n} from 'node:child_process';": 'imports node:child_process',
  "export { hostname } from 'os';": 'imports os',
  "import 'node:worker_threads';": 'imports node:worker_threads',
  "import { setTimeout as sleep } from 'node:timers/promises';": 'imports node:timers/promises',
  "import { WebSocket } from 'ws';": 'imports ws',
  "const { Level } = await import('level');": 'imports level',
  'setTimeout(() => tick(), 10);': 'setTimeout (timers)',
  'const clock = { setImmediate };': 'setImmediate (timers)',
  'globalThis.setInterval(tick, 10);': 'globalThis.setInterval (timers)',
  'const at = Date.now();': 'Date.now (time)',
  'const at = new Date();': 'new Date() (time)',
  'const at = new Date;': 'new Date (time)',
  'const text = Date();': 'Date (time)',
  'const at = performance.now();': 'performance.now (time)',
  'const { random = Math.random } = options;': 'Math.random (chance)',
  'const id = crypto.randomUUID();': 'crypto.randomUUID (chance)',
  'const home = process.env.HOME;': 'process.env (the process)',
  'const text = `at ${Date.now()}`;': 'Date.now (time)',
  'const signal = AbortSignal.timeout(10);': 'AbortSignal.timeout (timers)',
  "import { type Clock, systemClock } from '@swarm/api';": 'imports @swarm/api (systemClock)',
  "import { foundLog, LevelStorage as Log } from '@swarm/raft';":
    'imports @swarm/raft (LevelStorage)',
  "import { WsTransport } from '../transport/ws-transport.js';":
    'imports ../transport/ws-transport.js (WsTransport)',
  "import { makeKeys, callManager } from '@swarm/identity';":
    'imports @swarm/identity (makeKeys, callManager)',
  "import { systemKernel, systemSockets } from '@swarm/routing-mesh';":
    'imports @swarm/routing-mesh (systemKernel, systemSockets)',
  "import { agentDatabase } from '../storage/agent-database.js';":
    'imports ../storage/agent-database.js (agentDatabase)',
  'await fetch(address);': 'fetch (network)',
};

for (const [source, what] of Object.entries(IMPURE)) {
  test(`is found: ${source.replaceAll('\n', ' ')}`, (t) => {
    t.deepEqual(found(source), [what]);
  });
}

const PURE = [
  "import { inspect } from 'node:util';",
  "import assert from 'node:assert/strict';",
  "import { isIP } from 'node:net';",
  "import { createHash } from 'node:crypto';",
  "import type { Socket } from 'node:net';",
  "import { type Socket } from 'node:net';",
  "import { decode } from './fs.js';",
  "import type { LevelStorage } from '@swarm/raft';",
  "import { type WsTransport, RAFT_PATH } from '@swarm/raft';",
  "export { systemKernel } from './system/system-kernel.js';",
  "import { crc32 } from 'node:zlib';",
  'const signal = AbortSignal.any([a, b]);',
  'clock.setTimeout(() => tick(), 10);',
  'this.#clock.setImmediate(tick);',
  'interface Clock { setTimeout(callback: () => void, ms: number): unknown; now(): number }',
  'const clock = { setTimeout(callback, ms) { return later(callback, ms); } };',
  'interface Clock { setImmediate: (callback: () => void) => void }',
  'const date = new Date(ms);',
  'const ms = Date.parse(text);',
  'function newId(randomBytes: RandomBytes): string { return hex(randomBytes(16)); }',
  '// setTimeout(() => Date.now())',
  '/* Math.random */',
  "const text = 'Date.now() is not for us';",
];

for (const source of PURE) {
  test(`is allowed: ${source}`, (t) => {
    t.deepEqual(found(source), []);
  });
}

test('each impurity is reported with its line', (t) => {
  const source =
    "/*\n * A comment.\n */\nimport { a } from './a.js';\n\nexport const at = Date.now();\n";
  t.deepEqual(impurities(source), [{ line: 6, what: 'Date.now (time)' }]);
});
