// Runs inside a task's network namespace: binds 127.0.0.11:53 there, hands the sockets to its parent, ends.
import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';

const [, , address = '', port = ''] = process.argv;

process.on('uncaughtException', ({ message }) => {
  console.error(message);
  process.exit(1);
});

const udp = createSocket('udp4');
await new Promise<void>((resolve, reject) => {
  udp.once('error', reject);
  udp.bind({ address, port: Number(port), exclusive: true }, resolve);
});
const tcp = createServer({ allowHalfOpen: true });
await new Promise<void>((resolve, reject) => {
  tcp.once('error', reject);
  tcp.listen({ host: address, port: Number(port), exclusive: true }, resolve);
});
process.on('message', () => process.exit(0));
process.on('disconnect', () => process.exit(1));
process.send!('udp', udp);
process.send!('tcp', tcp);
