import { accessSync, constants, existsSync } from 'node:fs';
import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock, Logger } from '@swarm/api';
import { DockerRuntime, engineAnswers, ProcessRuntime, type RuntimeKind } from '@swarm/worker';
import { DEFAULT_ENGINE_SOCKET, type DaemonOptions } from '../daemon/options.js';
import { EngineWait, readyRuntime, type RuntimeSource } from './runtime-source.js';

interface Environment {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly random: () => number;
}

/** File with one word: the runtime that the node uses. */
const REMEMBERED_FILE = 'runtime';
/** Units that start an engine with the host, below systemd's folder for the administrator's settings. */
const ENGINE_UNITS = [
  'multi-user.target.wants/docker.service',
  'sockets.target.wants/docker.socket',
  'sockets.target.wants/podman.socket',
].map((unit) => join('/etc/systemd/system', unit));

/** What is known about the host before asking an engine. */
export interface RuntimeSigns {
  /** The word of `--runtime`. */
  readonly wanted: DaemonOptions['runtime'];
  /** What this node has used since it joined its cluster. */
  readonly remembered: RuntimeKind | undefined;
  /** Whether an engine seems to belong to this host: its socket exists, or its unit is enabled. */
  readonly hasEngine: boolean;
}

/**
 * Decides which runtime this node uses, whether or not its engine answers yet. A node whose engine is late
 * must not run the tasks of its cluster as plain processes in the meantime.
 */
export function decideRuntime({ wanted, remembered, hasEngine }: RuntimeSigns): RuntimeKind {
  if (wanted !== 'auto') return wanted;
  return remembered ?? (hasEngine ? 'docker' : 'process');
}

/**
 * Chooses the runtime and remembers it. Does not wait for an engine that does not answer: the source
 * reports that it waits, and provides the runtime later.
 * @param inCluster whether the node is in a cluster; otherwise it has no tasks and may choose again
 */
export async function chooseRuntime(
  options: DaemonOptions,
  inCluster: boolean,
  environment: Environment,
): Promise<{ source: RuntimeSource; engineSocket: string | undefined }> {
  const file = join(options.dataRoot, REMEMBERED_FILE);
  const { engineSocket } = options;
  const kind = decideRuntime({
    wanted: options.runtime,
    remembered: inCluster ? await remembered(file) : undefined,
    hasEngine: hasEngine(engineSocket),
  });
  await remember(file, kind);
  if (kind === 'process')
    return { source: readyRuntime(processRuntime(options, environment)), engineSocket: undefined };
  const source = new EngineWait({
    ...environment,
    engineSocket,
    answers: () => engineAnswers(engineSocket),
    make: () => dockerRuntime(options, environment),
  });
  await source.begin();
  return { source, engineSocket };
}

function dockerRuntime(
  options: DaemonOptions,
  { clock, logger, random }: Environment,
): DockerRuntime {
  logger.info(
    { runtime: 'docker', engine: options.engineSocket },
    'tasks run as containers of the Docker Engine',
  );
  return new DockerRuntime({
    socketPath: options.engineSocket,
    folder: join(options.dataRoot, 'docker'),
    clock,
    logger,
    random,
    preferLocalImages: process.env.DOCKER_SERVICE_PREFER_OFFLINE_IMAGE === '1',
  });
}

function processRuntime(
  options: DaemonOptions,
  { clock, logger, random }: Environment,
): ProcessRuntime {
  const runtime = new ProcessRuntime({
    folder: join(options.dataRoot, 'tasks'),
    clock,
    logger,
    random,
    cgroupParent: options.cgroupParent,
    hiddenFolders: [options.dataRoot],
    hiddenSockets: [options.socket, options.engineSocket],
  });
  logger.info(
    { runtime: 'process' },
    process.getuid?.() === 0
      ? 'tasks run as processes of this host (image "host"), each as a user of its own, with namespaces and cgroups'
      : 'tasks run as processes of this host (image "host"); without root they share its network and the daemon’s user, and have no limits',
  );
  return runtime;
}

/** An engine that this user may not talk to does not count. */
function hasEngine(engineSocket: string): boolean {
  try {
    accessSync(engineSocket, constants.R_OK | constants.W_OK);
    return true;
  } catch {
    const isRoot = process.getuid?.() === 0;
    const isDefault = engineSocket === DEFAULT_ENGINE_SOCKET;
    return isRoot && isDefault && ENGINE_UNITS.some((unit) => existsSync(unit));
  }
}

/** Ignores an unknown word, so that the node decides again. */
async function remembered(file: string): Promise<RuntimeKind | undefined> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  const word = text.trim();
  return word === 'docker' || word === 'process' ? word : undefined;
}

async function remember(file: string, kind: RuntimeKind): Promise<void> {
  await writeFile(`${file}.next`, `${kind}\n`, { mode: 0o600 });
  await rename(`${file}.next`, file);
}
