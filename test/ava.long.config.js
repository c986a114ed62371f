/** Clusters of test hosts that `scripts/test all` runs: one lab at a time. */
export default {
  files: ['test/dist/long/**/*.test.js'],
  concurrency: 1,
  serial: true,
  timeout: '10m',
  workerThreads: false,
};
