import { join } from 'node:path';
import type { Clock, Logger } from '@swarm/api';
import { DockerRuntime, engineAnswers, ProcessRuntime, type Runtime } from '@swarm/worker';
import { UsageError } from '../command.js';
import type { DaemonOptions } from './options.js';

interface Environment {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly random: () => number;
}

/** What tasks run with: a Docker Engine that answers, else plain processes; `--runtime` decides. */
export async function chooseRuntime(
  options: DaemonOptions,
  { clock, logger, random }: Environment,
): Promise<{ runtime: Runtime; engineSocket: string | undefined }> {
  const engine = options.runtime === 'process' ? false : await engineAnswers(options.engineSocket);
  if (options.runtime === 'docker' && !engine) {
    throw new UsageError(
      `no Docker Engine answers at ${options.engineSocket}: start it, name another with --engine, or use --runtime process`,
    );
  }
  if (engine) {
    logger.info(
      { runtime: 'docker', engine: options.engineSocket },
      'tasks run as containers of the Docker Engine',
    );
    const folder = join(options.dataRoot, 'docker');
    const runtime = new DockerRuntime({
      socketPath: options.engineSocket,
      folder,
      clock,
      logger,
      random,
      preferLocalImages: process.env.DOCKER_SERVICE_PREFER_OFFLINE_IMAGE === '1',
    });
    return { runtime, engineSocket: options.engineSocket };
  }
  const runtime = new ProcessRuntime({
    folder: join(options.dataRoot, 'tasks'),
    clock,
    logger,
    random,
    cgroupParent: options.cgroupParent,
  });
  const root = process.getuid?.() === 0;
  logger.info(
    { runtime: 'process' },
    root
      ? 'tasks run as processes of this host (image "host"), with network namespaces and cgroups'
      : 'tasks run as processes of this host (image "host"); without root they share its network and have no limits',
  );
  return { runtime, engineSocket: undefined };
}
