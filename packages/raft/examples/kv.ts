/** A replicated key-value store: `node kv.js FOLDER OWN_PORT PORT...`, then `set KEY VALUE` or `get KEY`. */
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import * as raft from '@swarm/raft';
import { WebSocketServer } from 'ws';

/** Values in memory only: the log, which is never compacted here, restores them after a restart. */
class KeyValues implements raft.StateMachine {
  appliedIndex = 0;
  values = new Map<string, string>();

  apply(entries: readonly raft.Entry[]): unknown[] {
    return entries.map(({ index, kind, data }) => {
      this.appliedIndex = index;
      if (kind !== raft.EntryKind.Normal || data.length === 0) return undefined;
      const [key, value] = JSON.parse(Buffer.from(data).toString()) as [string, string];
      return this.values.set(key, value).size;
    });
  }
  async flush(): Promise<void> {}
  async view() {
    const bytes = [Buffer.from(JSON.stringify([...this.values]))];
    const chunks = () => Readable.from(bytes);
    return { index: this.appliedIndex, chunks, release: async () => {} };
  }
  async restore(meta: raft.SnapshotMeta, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const parts = await Readable.from(chunks).toArray();
    this.values = new Map(JSON.parse(Buffer.concat(parts).toString()) as [string, string][]);
    this.appliedIndex = meta.index;
  }
}

const [path = '', ownPort = '', ...ports] = process.argv.slice(2);
// Over plain TCP nobody proves their identity, so all members use one node id.
const nodeId = 'kv';
const members = ports.map((port, i) => ({ id: i + 1, address: `127.0.0.1:${port}`, nodeId }));
const self = members[ports.indexOf(ownPort)]!;
const common = { clock: raft.systemClock(), random: Math.random };
const logger = { debug() {}, info() {}, warn: console.error };
const connect = raft.plainConnect();
const transport = new raft.WsTransport({ ...common, self, clusterId: 'kv', connect, logger });
const listen = { host: '127.0.0.1', port: Number(ownPort), ...raft.socketOptions() };
const sockets = new WebSocketServer(listen);
sockets.on('connection', (socket, { url }) => transport.accept(socket, { nodeId }, url));
const state = new KeyValues();
const storage = new raft.LevelStorage({ path, clusterId: 'kv', memberId: self.id });
const limits = { snapshotInterval: Number.MAX_SAFE_INTEGER };
const options = { ...common, id: self.id, members, storage, transport, limits };
const node = await raft.RaftNode.open({ ...options, stateMachine: state });

for await (const line of createInterface({ input: process.stdin })) {
  const [command, key = '', value = ''] = line.split(' ');
  try {
    if (command === 'set') await node.propose(Buffer.from(JSON.stringify([key, value])));
    else await node.readIndex();
    console.log(command === 'set' ? 'ok' : (state.values.get(key) ?? '(none)'));
  } catch (error) {
    console.log(`error: ${(error as Error).message}`);
  }
}
await node.close();
sockets.close();
