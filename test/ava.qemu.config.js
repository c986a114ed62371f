/** Tests that need another kernel, for scripts/qemu: emulated, one after the other, without a hurry. */
export default {
  files: ['packages/routing-mesh/dist/test/encrypted-*.test.js'],
  concurrency: 1,
  timeout: '10m',
  workerThreads: false,
};
