/** Tests that need another kernel, for scripts/qemu: emulated, one after the other, without a hurry. */
export default {
  files: ['packages/routing-mesh/dist/test/**/*.test.js', 'test/dist/cluster/encrypted.test.js'],
  // Here nothing may be skipped for want of the kernel.
  environmentVariables: { SWARM_GUEST: '1' },
  concurrency: 1,
  serial: true,
  timeout: '20m',
  workerThreads: false,
};
