import { createWriteStream } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { IncomingMessage } from 'node:http';
import type { Kind, Objects } from '@swarm/manager';
import { backupFile, readBackupObjects } from '@swarm/manager/recovery';
import type { Daemon } from './daemon.js';

/** All objects of a cluster, as one manager holds them. */
export class State {
  readonly index: number;
  readonly objects: readonly { readonly kind: Kind; readonly object: Objects[Kind] }[];

  constructor(index: number, objects: State['objects']) {
    this.index = index;
    this.objects = objects;
  }

  of<K extends Kind>(kind: K): Objects[K][] {
    return this.objects
      .filter((each) => each.kind === kind)
      .map((each) => each.object as Objects[K]);
  }

  get<K extends Kind>(kind: K, id: string): Objects[K] | undefined {
    return this.of(kind).find(({ ID }) => ID === id);
  }
}

/** Takes a backup from a manager. @returns the path of its file */
export async function takeBackup(daemon: Daemon, name: string): Promise<string> {
  const path = join(daemon.state.folder, `${name}.backup`);
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    request({ socketPath: daemon.state.socket, path: '/x/backup', agent: false }, resolve)
      .on('error', reject)
      .end();
  });
  if (answer.statusCode !== 200)
    throw new Error(`${daemon.name} makes no backup: ${answer.statusCode}`);
  await pipeline(answer, createWriteStream(path));
  return path;
}

/** Reads the state of a manager through a backup. */
export async function stateOf(daemon: Daemon, name: string): Promise<State> {
  const { header, objects } = await readBackupObjects(backupFile(await takeBackup(daemon, name)));
  return new State(header.index, objects);
}
