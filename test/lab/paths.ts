import { join, resolve } from 'node:path';

/** Root of the checkout, relative to the compiled file (test/dist/lab). */
export const REPOSITORY = resolve(import.meta.dirname, '..', '..', '..');
/** The `swarm` command as built. */
export const SWARM_BIN = join(REPOSITORY, 'packages', 'cli', 'bin', 'swarm.js');
/** Makes a bundle of the `swarm` command. */
export const BUNDLER = join(REPOSITORY, 'packages', 'cli', 'bundle.mjs');
/** Sources that are not compiled: scripts and the web service of the tests. */
export const LAB_ASSETS = join(REPOSITORY, 'test', 'lab');
