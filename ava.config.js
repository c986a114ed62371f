/**
 * Tests that need no test hosts: those of every package, a short torture of real members, and a short siege by hostile
 * nodes.
 *
 * `SWARM_UNITS=pure` takes those that compute alone (virtual time, no kernel), which `scripts/test` runs beside the
 * clusters, on what these leave of the processors; `SWARM_UNITS=effects` the others. Both leave out the long ones, which
 * run with `scripts/test all` and without the variable.
 */
const PURE = ['api', 'manager', 'raft-sim', 'sim'].map(
  (name) => `packages/${name}/dist/test/**/*.test.js`,
);
const ALL = [
  'packages/*/dist/test/**/*.test.js',
  'scripts/*.test.mjs',
  'test/dist/lab/*.test.js',
  'test/dist/torture/*.test.js',
  'test/dist/hostile/*.test.js',
  'test/dist/chaos/*.test.js',
  'test/dist/names/*.test.js',
];
const LONG = [
  'packages/cli/dist/test/pack.test.js',
  'packages/raft-sim/dist/test/bugs.test.js',
  'packages/raft-sim/dist/test/trace-check.test.js',
  'packages/routing-mesh/dist/test/leak.test.js',
  'test/dist/hostile/hostile.test.js',
  'test/dist/torture/torture.test.js',
];
const without = (patterns) => patterns.map((pattern) => `!${pattern}`);
const FILES = {
  pure: [...PURE, ...without(LONG)],
  effects: [...ALL, ...without(PURE), ...without(LONG)],
};
const units = process.env.SWARM_UNITS;

export default {
  files: FILES[units] ?? ALL,
  timeout: units === 'pure' ? '5m' : '60s',
  // Suites of the kernel and of engines mostly wait.
  ...(units === 'effects' && { concurrency: 3 }),
  workerThreads: false,
};
