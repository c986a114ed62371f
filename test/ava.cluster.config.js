/** Clusters of test hosts: one lab at a time, so that two cores are enough. */
export default {
  files: ['test/dist/cluster/**/*.test.js'],
  concurrency: 1,
  serial: true,
  timeout: '5m',
  workerThreads: false,
};
