import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { OWNER_LABEL } from '@swarm/api';
import { errnoOf, RuntimeError } from '../runtime-error.js';
import type { ContainerSummary } from './engine-types.js';

/** Docker Swarm's label, and ours, of a task's container. */
export const TASK_LABEL = 'com.docker.swarm.task.id';

/** The sandbox of a task's container; absent if the sandbox has the task's own id. */
export const SANDBOX_LABEL = 'swarm.sandbox';

const OWNER_LENGTH = 16;
const DIGITS = 36;
const MARK = new RegExp(`^[0-9a-z]{${OWNER_LENGTH}}$`);

/**
 * The mark of this node's containers, made once and kept in the folder, so that several daemons can share
 * an engine and leave each other's containers alone.
 */
export function ownerOf(folder: string, random: () => number): string {
  const path = join(folder, 'owner');
  try {
    const owner = readFileSync(path, 'utf8').trim();
    if (MARK.test(owner)) return owner;
    if (owner !== '')
      throw new RuntimeError(
        'failed',
        `${path} is damaged: it must hold the value of the label ${OWNER_LABEL} on this node's containers. Restore that value, or remove the file and the containers.`,
      );
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error;
  }
  const owner = randomName(OWNER_LENGTH, random);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  writeFileSync(`${path}.new`, `${owner}\n`, { mode: 0o600 });
  renameSync(`${path}.new`, path);
  return owner;
}

/** Random letters and digits. */
export function randomName(length: number, random: () => number): string {
  let name = '';
  while (name.length < length) name += Math.floor(random() * DIGITS).toString(DIGITS);
  return name;
}

/** The name without the slash that the engine puts in front. */
export function nameOf(container: ContainerSummary): string {
  return (container.Names?.[0] ?? '').replace(/^\//, '');
}
