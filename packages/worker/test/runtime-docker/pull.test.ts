import { createServer, type Server } from 'node:http';
import { type AddressInfo, createServer as createTcpServer, type Socket } from 'node:net';
import test from 'ava';
import { until } from '@swarm/sim';
import {
  containers,
  engineLacks,
  openDockerRuntime,
  shell,
  TEST_IMAGE,
  TestEngine,
} from './engine.js';
import { prepare } from '../support/prepare.js';

const lacks = engineLacks();
const ABSENT_DIGEST = `sha256:${'ab'.repeat(32)}`;

async function listen(server: Server | ReturnType<typeof createTcpServer>): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

if (lacks === undefined) {
  const engine = new TestEngine();
  test.before(async () => {
    await engine.start();
    await engine.importImage();
  });
  test.after.always(() => engine.close());

  test.serial(
    'an image that does not exist is refused with the reason and what to do',
    async (t) => {
      const registry = createServer((_, response) => {
        response.statusCode = 404;
        response.setHeader('docker-distribution-api-version', 'registry/2.0');
        response.end('{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}');
      });
      const port = await listen(registry);
      const harness = openDockerRuntime(engine);
      try {
        const said: string[] = [];
        const task = shell('', { container: { Image: `127.0.0.1:${port}/no/such:9` } });
        const context = { waiting: (message: string) => said.push(message) };
        const error = await t.throwsAsync(prepare(harness.runtime, task, context), {
          message: /^The image "127\.0\.0\.1:\d+\/no\/such:9" is not on this node.*Check its name/,
        });
        t.like(error, { reason: 'rejected' });
        t.is(said[0], `pulling 127.0.0.1:${port}/no/such:9`);
        t.deepEqual(await harness.runtime.list(), []);
      } finally {
        await harness.close();
        registry.close();
      }
    },
  );

  test.serial('a registry that cannot be reached is a failure, not a rejection', async (t) => {
    const harness = openDockerRuntime(engine);
    try {
      const task = shell('', { container: { Image: '127.0.0.1:1/no/such:9' } });
      const error = await t.throwsAsync(prepare(harness.runtime, task), {
        message: /registry cannot be reached.*connection refused/,
      });
      t.like(error, { reason: 'failed' });
    } finally {
      await harness.close();
    }
  });

  test.serial('a failed pull of a local image is reported, and costs nothing', async (t) => {
    const harness = openDockerRuntime(engine);
    try {
      const said: string[] = [];
      const startMs = Date.now();
      await prepare(harness.runtime, shell('exec sleep 600'), {
        waiting: (message) => said.push(message),
      });
      t.true(Date.now() - startMs < 4_000);
      t.deepEqual(said.slice(0, 1), [`pulling ${TEST_IMAGE}`]);
      t.regex(said.at(-1) ?? '', /could not be pulled, using the copy on this node: .*refused/);
    } finally {
      await harness.close();
    }
  });

  test.serial(
    'a registry that says nothing is not waited for when the image is here',
    async (t) => {
      const sockets: Socket[] = [];
      const silent = createTcpServer((socket) => sockets.push(socket));
      const image = `127.0.0.1:${await listen(silent)}/silent/box:1`;
      await engine.importImage(image);
      const harness = openDockerRuntime(engine);
      try {
        const said: string[] = [];
        const context = { waiting: (message: string) => said.push(message) };
        await prepare(harness.runtime, shell('', { container: { Image: image } }), context);
        t.true(sockets.length > 0, 'the registry was asked');
        t.regex(
          said.at(-1) ?? '',
          /using the copy on this node: its registry said nothing for 5 s/,
        );
        const startMs = Date.now();
        await prepare(harness.runtime, shell('', { container: { Image: image } }), context);
        t.true(Date.now() - startMs < 4_000, 'the second task does not wait again');
      } finally {
        await harness.close();
        for (const socket of sockets) socket.destroy();
        silent.close();
      }
    },
  );

  test.serial('a task that is no longer wanted does not wait for its pull', async (t) => {
    const sockets: Socket[] = [];
    const silent = createTcpServer((socket) => sockets.push(socket));
    const image = `127.0.0.1:${await listen(silent)}/absent/box:1`;
    const harness = openDockerRuntime(engine);
    try {
      const unwanted = new AbortController();
      const task = shell('', { container: { Image: image }, address: '198.18.0.90/32' });
      const preparing = prepare(harness.runtime, task, { signal: unwanted.signal });
      await until('the registry is asked', () => sockets.length > 0);
      unwanted.abort();
      t.like(await t.throwsAsync(preparing), { reason: 'aborted' });
      t.deepEqual(await containers(engine, 'swarm.role'), [], 'its sandbox is gone, too');
    } finally {
      await harness.close();
      for (const socket of sockets) socket.destroy();
      silent.close();
    }
  });

  test.serial('the credentials of the service go to its registry', async (t) => {
    const seen: string[] = [];
    const registry = createServer((request, response) => {
      const { authorization } = request.headers;
      if (authorization !== undefined) seen.push(authorization);
      response.statusCode = authorization === undefined ? 401 : 404;
      response.setHeader('www-authenticate', 'Basic realm="test"');
      response.setHeader('docker-distribution-api-version', 'registry/2.0');
      response.end('{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}');
    });
    const port = await listen(registry);
    const harness = openDockerRuntime(engine);
    try {
      const credentials = { username: 'u', password: 'p', serveraddress: `127.0.0.1:${port}` };
      const task = shell('', {
        container: { Image: `127.0.0.1:${port}/private:1` },
        spec: { RegistryAuth: Buffer.from(JSON.stringify(credentials)).toString('base64url') },
      });
      await t.throwsAsync(prepare(harness.runtime, task));
      t.true(seen.includes(`Basic ${Buffer.from('u:p').toString('base64')}`));
      await t.throwsAsync(
        prepare(
          harness.runtime,
          shell('', { container: { Image: `127.0.0.1:${port}/private:1` } }),
        ),
        { message: /with-registry-auth/ },
      );
    } finally {
      await harness.close();
      registry.close();
    }
  });

  test.serial('an image pinned by digest that is not here is pulled by its digest', async (t) => {
    const paths: string[] = [];
    const registry = createServer((request, response) => {
      paths.push(request.url ?? '');
      response.statusCode = request.url === '/v2/' ? 200 : 404;
      response.setHeader('docker-distribution-api-version', 'registry/2.0');
      response.end('{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}');
    });
    const port = await listen(registry);
    const harness = openDockerRuntime(engine);
    try {
      const Image = `127.0.0.1:${port}/pinned:1@${ABSENT_DIGEST}`;
      await t.throwsAsync(prepare(harness.runtime, shell('', { container: { Image } })));
      t.true(paths.includes(`/v2/pinned/manifests/${ABSENT_DIGEST}`), paths.join(' '));
    } finally {
      await harness.close();
      registry.close();
    }
  });

  test.serial('with local images preferred, no registry is asked for a local image', async (t) => {
    const harness = openDockerRuntime(engine, { preferLocalImages: true });
    try {
      const said: string[] = [];
      const context = { waiting: (message: string) => said.push(message) };
      await prepare(harness.runtime, shell('exec sleep 600'), context);
      t.deepEqual(said, []);
    } finally {
      await harness.close();
    }
  });
} else {
  test.skip(`docker runtime's pulls: SKIPPED, ${lacks}`, () => {});
}
