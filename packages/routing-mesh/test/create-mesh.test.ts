import { silentLogger, systemClock } from '@swarm/api';
import test from 'ava';
import { createMesh, systemKernel, systemSockets } from '../src/index.js';

const common = {
  kernel: systemKernel(),
  sockets: systemSockets(),
  random: Math.random,
  logger: silentLogger,
  clock: systemClock({ unref: true }),
};

test('a data path port outside the range is refused', async (t) => {
  for (const dataPathPort of [0, 1023, 49_152, 4789.5]) {
    await t.throwsAsync(createMesh({ backend: 'userspace', dataPathPort, ...common }), {
      message: /not within 1024 to 49151/,
    });
  }
});

test('nftables without its rights says what is missing; auto then takes userspace', async (t) => {
  const options = { ...common, kernel: { ...systemKernel(), isPrivileged: false } };
  await t.throwsAsync(createMesh({ backend: 'nftables', ...options }), { message: /needs root/ });
  const mesh = await createMesh({ backend: 'auto', ...options });
  t.is(mesh.backend, 'userspace');
  await mesh.close({ keep: false });
});
