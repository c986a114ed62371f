import { RuntimeError } from '../runtime-error.js';
import type { EngineClient } from './engine-client.js';
import { hasStatus } from './engine-error.js';
import type { EngineInfo } from './engine-types.js';
import { jsonLines } from './json-lines.js';
import type { ProgressLine } from './engine-types.js';
import { pauseProgram } from './pause-program.js';
import { tarFile } from './tar-file.js';

const REPOSITORY = 'swarm/sandbox';
/** Increases with each new program, so that an engine with an older image gets the newer one. */
const TAG = '1';
const PROGRAM = 'pause';

export const SANDBOX_IMAGE = `${REPOSITORY}:${TAG}`;
export const SANDBOX_COMMAND: readonly string[] = [`/${PROGRAM}`];

/**
 * Imports the image of sandboxes into the engine: one program of 200 bytes, made here and never pulled.
 * @throws RuntimeError `rejected` on a machine that has no program
 */
export async function importSandboxImage(engine: EngineClient, signal: AbortSignal): Promise<void> {
  const { Architecture } = await engine.json<EngineInfo>('GET', '/info', { signal });
  const program = pauseProgram(Architecture);
  if (program === undefined) {
    throw new RuntimeError(
      'rejected',
      `Tasks with a network cannot run on this node: there is no sandbox for ${Architecture}, only for x86_64 and aarch64. Place the service on such nodes.`,
    );
  }
  const body = await engine.stream('POST', '/images/create', {
    query: { fromSrc: '-', repo: REPOSITORY, tag: TAG },
    body: tarFile(PROGRAM, program),
    signal,
  });
  for await (const { error } of jsonLines<ProgressLine>(body)) {
    if (error !== undefined) {
      throw new RuntimeError('failed', `The engine did not accept the sandbox's image: ${error}`);
    }
  }
}

export async function hasSandboxImage(engine: EngineClient, signal: AbortSignal): Promise<boolean> {
  try {
    await engine.json('GET', `/images/${SANDBOX_IMAGE}/json`, { signal });
    return true;
  } catch (error) {
    if (hasStatus(error, 404)) return false;
    throw error;
  }
}
