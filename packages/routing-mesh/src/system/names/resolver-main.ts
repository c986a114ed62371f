// The resolver of a node: `node resolver-main.js FOLDER [RESOLV_CONF]`. Answers the tasks' questions and takes orders
// from the node's daemon at a socket in the folder. Ends when it is told to, when its socket is gone, and when it has
// had no tasks for a while.
import { closeSync, readdirSync, readlinkSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { setPriority } from 'node:os';
import { SerialQueue } from '@swarm/api/address';
import { NameResolver } from '../../names/name-resolver.js';
import { resolverOrderShape } from '../../names/resolver-orders.js';
import { onFrames, sendFrame } from './frames.js';
import { HostNameServers } from './host-name-servers.js';
import { openNamespaceSockets } from './namespace-sockets.js';
import { questionPlaces } from './question-places.js';
import { markOf, resolverFiles, withSocketPath } from './resolver-files.js';
import { RESOLVER_VERSION } from './resolver-version.js';
import { DnsUpstream, hostSockets } from './upstream.js';

/** How often it looks whether it is still needed. */
const LOOK_MS = 2_000;
/** Without tasks it ends after so many looks, and sooner without a daemon that could bring some. */
const IDLE_LOOKS = 15;
const LONELY_LOOKS = 5;
const FIRST_FD = 3;
/** Nice value: tasks that use all processors wait for each other's answers otherwise. */
const PRIORITY = -10;

process.umask(0o077);
closeInherited();
hurry();
process.on('SIGHUP', () => {});

const [, , folder = '', resolvConf = '/etc/resolv.conf'] = process.argv;
const files = resolverFiles(folder);
const hostServers = new HostNameServers(resolvConf);
const resolver = new NameResolver({
  places: questionPlaces(await openNamespaceSockets().catch(() => undefined)),
  upstream: new DnsUpstream({ open: hostSockets, servers: () => hostServers.servers() }),
  random: Math.random,
});

writeFileSync(files.process, JSON.stringify(markOf(process.pid)));
rmSync(files.socket, { force: true });
const orders = new SerialQueue();
let daemon: Socket | undefined;
let idleLooks = 0;
const server = createServer(serve);
await withSocketPath(
  files.socket,
  (path) =>
    new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(path, resolve);
    }),
);
const own = statSync(files.socket, { bigint: true });
setInterval(look, LOOK_MS);
// The daemon waits for this, and reads no more.
process.stdout.on('error', () => {});
process.stdout.write('ready\n');

/** One daemon at a time: a later one takes the place of one that hangs. */
function serve(socket: Socket): void {
  daemon?.destroy();
  daemon = socket;
  socket.on('error', () => {});
  socket.on('close', () => {
    if (daemon === socket) daemon = undefined;
  });
  void orders.run(async () => resolver.startOver());
  sendFrame(socket, { version: RESOLVER_VERSION });
  onFrames(socket, (value) => {
    void orders.run(async () => {
      if (socket.destroyed) return;
      try {
        const order = resolverOrderShape.read(value);
        if (order.type === 'end') return end();
        await resolver.obey(order);
        sendFrame(socket, {});
      } catch (error) {
        sendFrame(socket, { error: String((error as Error).message).slice(0, 1024) });
      }
    });
  });
}

/** Ends when its daemon is gone for good, with its folder, and without tasks. */
function look(): void {
  const now = statSync(files.socket, { bigint: true, throwIfNoEntry: false });
  // Another resolver, or nobody, has its place.
  if (now?.ino !== own.ino || now.dev !== own.dev) process.exit(0);
  idleLooks = resolver.size === 0 ? idleLooks + 1 : 0;
  if (idleLooks >= (daemon === undefined ? LONELY_LOOKS : IDLE_LOOKS)) end();
}

function end(): never {
  resolver.close();
  for (const path of [files.socket, files.process]) rmSync(path, { force: true });
  process.exit(0);
}

/** Answers are short, and everybody waits for them. */
function hurry(): void {
  try {
    setPriority(PRIORITY);
  } catch {
    // Not allowed, as in a container: it answers all the same.
  }
}

/** A daemon's database leaves its files open for programs that it starts, and would never get their space back. */
function closeInherited(): void {
  for (const name of readdirSync('/proc/self/fd')) {
    const fd = Number(name);
    if (fd < FIRST_FD) continue;
    try {
      // What this process itself has open by now is no file with a path.
      const path = readlinkSync(`/proc/self/fd/${fd}`);
      if (path.startsWith('/') && !path.startsWith('/dev/') && !path.startsWith('/proc/'))
        closeSync(fd);
    } catch {
      // It was the list itself.
    }
  }
}
