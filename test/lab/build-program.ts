import { copyFile, mkdir, symlink, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Program } from '@swarm/api';
import { must } from './command.js';
import { BUNDLER, REPOSITORY, SWARM_BIN } from './paths.js';

/**
 * Builds the checkout as if it were another version.
 * @param folder made, and the caller's to remove
 * @returns the path of its `swarm` program, see LabOptions
 */
export async function buildProgram(folder: string, program: Program): Promise<string> {
  const bin = join(folder, 'bin', basename(SWARM_BIN));
  await mkdir(join(folder, 'bin'), { recursive: true, mode: 0o755 });
  await writeFile(join(folder, 'package.json'), JSON.stringify({ type: 'module' }));
  await symlink(join(REPOSITORY, 'node_modules'), join(folder, 'node_modules'));
  await copyFile(SWARM_BIN, bin);
  await must([
    ...[process.execPath, BUNDLER],
    ...['--outdir', join(folder, 'bundle'), '--program', JSON.stringify(program)],
  ]);
  return bin;
}
