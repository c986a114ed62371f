import { once } from 'node:events';
import { get } from 'node:http';
import { WebSocket } from 'ws';
import { until } from '../lab/index.js';
import type { Daemon } from './daemon.js';

interface Reply {
  readonly id?: number;
  readonly result?: { readonly result?: { readonly value?: unknown } };
}

/**
 * Size of the daemon's heap after a garbage collection, in bytes. Asks through Node's inspector, which a
 * signal switches on, so the daemon runs exactly as for users.
 */
export async function heapBytes(daemon: Daemon): Promise<number> {
  process.kill(daemon.pid, 'SIGUSR1');
  const url = await until(`${daemon.name} can be inspected`, () =>
    debuggerUrl(daemon.inspectorAddress),
  );
  const socket = new WebSocket(url);
  await once(socket, 'open');
  let id = 0;
  const call = async (method: string, params: object = {}): Promise<Reply> => {
    id += 1;
    const own = id;
    socket.send(JSON.stringify({ id: own, method, params }));
    for (;;) {
      const [data] = (await once(socket, 'message')) as [Buffer];
      const reply = JSON.parse(data.toString()) as Reply;
      if (reply.id === own) return reply;
    }
  };
  try {
    await call('HeapProfiler.enable');
    await call('HeapProfiler.collectGarbage');
    const expression = 'process.memoryUsage().heapUsed + process.memoryUsage().external';
    const { result } = await call('Runtime.evaluate', { expression });
    return Number(result?.result?.value);
  } finally {
    socket.terminate();
  }
}

function debuggerUrl(address: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const call = get(`http://${address}/json/list`, { agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
      response.on('error', reject);
      response.on('end', () => {
        const [target] = JSON.parse(text) as { webSocketDebuggerUrl?: string }[];
        if (target?.webSocketDebuggerUrl === undefined) reject(new Error('nothing to inspect'));
        else resolve(target.webSocketDebuggerUrl);
      });
    });
    call.on('error', reject);
  });
}
