/** Unit tests: every package's compiled tests. The lab tests have a configuration of their own. */
export default {
  files: ['packages/*/dist/test/**/*.test.js'],
  timeout: '60s',
  workerThreads: false,
};
