/**
 * Tests that need no test hosts: those of every package, and a short torture of real members.
 *
 * `SWARM_UNITS=pure` takes those that compute alone (virtual time, no kernel), which `scripts/test` runs beside the
 * clusters, on what these leave of the processors; `SWARM_UNITS=effects` the others.
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
const FILES = { pure: PURE, effects: [...ALL, ...PURE.map((pattern) => `!${pattern}`)] };
const units = process.env.SWARM_UNITS;

export default {
  files: FILES[units] ?? ALL,
  timeout: units === 'pure' ? '5m' : '60s',
  // Suites of the kernel and of engines mostly wait.
  ...(units === 'effects' && { concurrency: 3 }),
  workerThreads: false,
};
