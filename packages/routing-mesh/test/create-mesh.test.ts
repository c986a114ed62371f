import { silentLogger, systemClock } from '@swarm/api';
import test from 'ava';
import { createMesh } from '../src/index.js';

const common = { logger: silentLogger, clock: systemClock({ unref: true }) };

test('a data path port outside the range is refused', async (t) => {
  for (const dataPathPort of [0, 1023, 49_152, 4789.5]) {
    await t.throwsAsync(createMesh({ backend: 'userspace', dataPathPort, ...common }), {
      message: /not within 1024 to 49151/,
    });
  }
});

test('nftables without its rights says what is missing; auto then takes userspace', async (t) => {
  const geteuid = process.geteuid;
  process.geteuid = () => 1000;
  try {
    await t.throwsAsync(createMesh({ backend: 'nftables', ...common }), { message: /needs root/ });
    const mesh = await createMesh({ backend: 'auto', ...common });
    t.is(mesh.backend, 'userspace');
    await mesh.close({ keep: false });
  } finally {
    process.geteuid = geteuid!;
  }
});
