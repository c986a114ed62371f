/** `node keep-alive-load.js ADDRESS PORT CONNECTIONS SECONDS`: prints requests per second. */
import { Agent, request } from 'node:http';

const [host, port, connections, seconds] = process.argv.slice(2);
const agent = new Agent({ keepAlive: true, maxSockets: Number(connections) });
const WARM_UP_MS = 500;
const begin = performance.now();
const end = begin + WARM_UP_MS + Number(seconds) * 1000;
let counted = 0;

await Promise.all(
  Array.from({ length: Number(connections) }, async () => {
    while (performance.now() < end) {
      await one();
      if (performance.now() > begin + WARM_UP_MS) counted += 1;
    }
  }),
);
agent.destroy();
console.log((counted / Number(seconds)).toFixed(1));

function one(): Promise<void> {
  return new Promise((resolve, reject) => {
    const call = request({ host, port: Number(port), agent, path: '/' }, (response) => {
      response.resume();
      response.on('end', resolve);
      response.on('error', reject);
    });
    call.on('error', reject);
    call.end();
  });
}
