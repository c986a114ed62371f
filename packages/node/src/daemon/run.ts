import { randomBytes } from 'node:crypto';
import { hostname, networkInterfaces } from 'node:os';
import { checkPlace, PROGRAM, systemClock, UsageError } from '@swarm/api';
import { meshProblem, systemKernel } from '@swarm/routing-mesh';
import { LocalApi } from '../api/local-api.js';
import { isPlain } from './damage.js';
import { makeSocketFolder, openDataRoot, PRIVATE_UMASK } from '../files/data-root.js';
import { lockFolder } from '../files/folder-lock.js';
import { hasState } from '../files/local-state.js';
import { createLogger } from './logger.js';
import { NodeDaemon } from '../node-daemon.js';
import type { DaemonOptions } from './options.js';
import { chooseRuntime } from '../tasks/runtime-choice.js';

const ENGINE_ADVICE = 'name another engine with --engine, or use --runtime process';

/** Time for an orderly shutdown; then the process exits anyway. */
const CLOSE_LIMIT_MS = 15_000;

/** Runs a node until SIGINT or SIGTERM; returns the exit code. */
export async function runNode(options: DaemonOptions): Promise<number> {
  // Set here too, in case another program starts the daemon. LevelDB's files get their mode from the umask.
  process.umask(PRIVATE_UMASK);
  const logger = createLogger(options);
  const clock = systemClock();
  const uid = process.getuid?.() ?? 0;
  makeSocketFolder(options.socket, process.env, uid);
  openDataRoot(options.dataRoot, uid, logger);
  // The engine receives registry credentials and runs what it is told to.
  if (options.runtime !== 'process') checkPlace(options.engineSocket, uid, ENGINE_ADVICE);
  const problem = await meshProblem(options.mesh, systemKernel(), logger);
  if (problem !== undefined) {
    throw new UsageError(
      `--mesh ${options.mesh} cannot work on this host: ${problem}. Leave --mesh out for the best that it has.`,
    );
  }
  const unlock = lockFolder(options.dataRoot);
  let end: (code: number) => void = () => {};
  const ended = new Promise<number>((resolve) => {
    end = resolve;
  });
  const onFatal = (error: unknown) => {
    if (isPlain(error)) logger.error({}, `the daemon stops: ${error.message}`);
    else logger.error({ err: error }, 'the daemon stops: it hit an error that it must not survive');
    end(1);
  };
  const { source, engineSocket } = await chooseRuntime(options, hasState(options.dataRoot), {
    clock,
    logger,
    random: Math.random,
  });
  const node = new NodeDaemon({
    dataRoot: options.dataRoot,
    clock,
    logger,
    random: Math.random,
    randomBytes,
    hostname,
    networkInterfaces,
    issuer: async () => (await import('@swarm/manager/assembly')).x509Issuer,
    tasks: {
      runtime: source,
      mesh: options.mesh,
      meshBind: options.meshBind,
      labels: options.nodeLabels,
    },
    addresses: options.addresses,
    ...(engineSocket === undefined ? {} : { engine: { socketPath: engineSocket } }),
    onFatal,
  });
  const api = new LocalApi({ control: node, clock, randomBytes, logger, version: PROGRAM.Version });
  node.attach(api);
  await api.listen(options.socket);
  logger.info({ socket: options.socket, version: PROGRAM.Version }, 'the daemon answers');
  process.once('SIGINT', () => end(0));
  process.once('SIGTERM', () => end(0));
  process.on('unhandledRejection', onFatal);
  process.on('uncaughtException', onFatal);
  // Local clients get answers at once, while the node carries on in the background.
  node.start().catch(onFatal);
  const code = await ended;
  logger.info({}, 'the daemon stops; tasks keep running');
  const limit = setTimeout(() => process.exit(code === 0 ? 1 : code), CLOSE_LIMIT_MS);
  limit.unref();
  await node.close();
  await api.close();
  await source.close();
  unlock();
  return code;
}
