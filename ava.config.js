/** Tests that need no test hosts: those of every package, and a short torture of real members. */
export default {
  files: [
    'packages/*/dist/test/**/*.test.js',
    'scripts/*.test.mjs',
    'test/dist/lab/*.test.js',
    'test/dist/torture/*.test.js',
    'test/dist/hostile/*.test.js',
    'test/dist/chaos/*.test.js',
    'test/dist/names/*.test.js',
  ],
  timeout: '60s',
  workerThreads: false,
};
