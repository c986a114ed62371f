// The web service of the demo and the tests. Answers every request with one line of JSON: which task it is,
// which version, and whose address it sees. Listens on `PORT` and `HOST` from the runtime, else 0.0.0.0:80.
import { createServer } from 'node:http';

const server = createServer((request, response) => {
  const body = `${JSON.stringify({
    task: process.env.TASK ?? process.env.HOSTNAME,
    version: process.env.VERSION ?? '1',
    client: request.socket.remoteAddress?.replace('::ffff:', ''),
    path: request.url,
  })}\n`;
  const delayMs = Number(new URL(request.url ?? '/', 'http://x').searchParams.get('delay') ?? 0);
  setTimeout(() => {
    response.writeHead(200, {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(body),
    });
    response.end(body);
  }, delayMs);
});
server.keepAliveTimeout = 60_000;
const port = Number(process.env.PORT ?? 80);
server.listen(port, process.env.HOST ?? '0.0.0.0', () => console.log(`listening on ${port}`));
process.on('SIGTERM', () => {
  console.log('stopping');
  server.close(() => process.exit(0));
  server.closeIdleConnections();
});
