// For `node --import`: appends the address of every module that is loaded to the file $SWARM_TEST_MODULES.
import { appendFileSync } from 'node:fs';
import { register } from 'node:module';
import { isMainThread } from 'node:worker_threads';

type NextLoad = (url: string, context: object) => unknown;

if (isMainThread) register(import.meta.url);

/** A loader's hook; runs in the loader's own thread. */
export function load(url: string, context: object, nextLoad: NextLoad): unknown {
  appendFileSync(process.env.SWARM_TEST_MODULES!, `${url}\n`);
  return nextLoad(url, context);
}
