import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import test, { type ExecutionContext } from 'ava';
import { until } from '@swarm/sim';
import { killProcessesOf } from './support/processes.js';

const run = promisify(execFile);
const PACKAGE = join(import.meta.dirname, '..', '..');
const OFFLINE = /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT|ENETUNREACH/;
/** Root would give tasks namespaces and cgroups of this machine; what is tested here needs neither. */
const NOBODY = 65534;
const ADDRESS = '127.0.88.1';
const API_PORT = 22377;
const WEB_PORT = 18188;
const SERVER =
  "require('http').createServer((q, r) => r.end('packed')).listen(process.env.PORT, process.env.HOST)";

/** Installs the packed package into an empty folder; undefined without a registry. */
async function install(t: ExecutionContext, folder: string): Promise<string | undefined> {
  const { stdout } = await run(
    'npm',
    ['pack', '--json', '--foreground-scripts=false', '--pack-destination', folder],
    { cwd: PACKAGE },
  );
  const [packed] = JSON.parse(stdout.slice(stdout.indexOf('['))) as {
    filename: string;
    files: { path: string }[];
  }[];
  const paths = packed!.files.map((file) => file.path);
  t.is(packed!.filename, 'swarm-cli-0.1.0.tgz');
  for (const path of [
    ...['bin/swarm.js', 'bundle/main.js', 'bundle/LICENSES.txt', 'README.md'],
    ...['systemd/swarm.service', 'LICENSE'],
  ])
    t.true(paths.includes(path), path);
  t.is(
    readFileSync(join(PACKAGE, 'LICENSE'), 'utf8'),
    readFileSync(join(PACKAGE, '..', '..', 'LICENSE'), 'utf8'),
  );
  t.deepEqual(
    paths.filter((path) => /^(src|test|dist)\//.test(path)),
    [],
  );
  // What is lazy in the source is a module of its own in the bundle.
  t.true(paths.includes('bundle/node.js'));
  t.true(paths.some((path) => path.startsWith('bundle/run-')));
  const home = join(folder, 'installed');
  mkdirSync(home);
  try {
    await run('npm', ['install', '--no-audit', '--no-fund', join(folder, packed!.filename)], {
      cwd: home,
    });
  } catch (error) {
    if (!OFFLINE.test(String(error))) throw error;
    console.error('SKIPPED: the npm registry cannot be reached, so the package was not installed');
    return undefined;
  }
  return home;
}

/** Modes of all files and folders below a folder, by path. */
function modesBelow(folder: string): Map<string, number> {
  const entries = readdirSync(folder, { recursive: true, encoding: 'utf8' });
  return new Map(
    entries.map((path) => [
      path,
      (lstatSync(join(folder, path), { throwIfNoEntry: false })?.mode ?? 0) & 0o777,
    ]),
  );
}

test('the packed package, installed elsewhere, runs a daemon, a cluster and a service', async (t) => {
  t.timeout(240_000);
  const folder = mkdtempSync(join(tmpdir(), 'swarm-pack-'));
  chmodSync(folder, 0o755);
  t.teardown(async () => {
    await killProcessesOf(folder);
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  });
  const home = await install(t, folder);
  if (home === undefined) return;
  const state = join(folder, 'state');
  mkdirSync(state);
  const isRoot = process.getuid?.() === 0;
  if (isRoot) chownSync(state, NOBODY, NOBODY);
  const bin = join(home, 'node_modules', '.bin', 'swarm');
  const options = {
    cwd: home,
    env: {
      PATH: process.env.PATH,
      HOME: state,
      SWARM_HOST: `unix://${join(state, 'swarm.sock')}`,
      npm_config_cache: join(state, 'npm'),
    },
    ...(isRoot ? { uid: NOBODY, gid: NOBODY } : {}),
  };
  const swarm = async (...args: string[]) =>
    (await run('npx', ['--no-install', 'swarm', ...args], options)).stdout;
  const version = await swarm('version');
  t.regex(version, /Version: {5}0\.1\.0/);
  t.regex(version, /no daemon responds/);

  // As generous as a caller's can be: what the daemon makes must be private all the same.
  const umask = process.umask(0);
  const daemon = spawn(
    process.execPath,
    [
      ...[bin, 'daemon', '--data-root', join(state, 'data'), '--socket', join(state, 'swarm.sock')],
      ...['--runtime', 'process', '--mesh', 'userspace', '--mesh-bind', ADDRESS],
    ],
    { ...options, stdio: ['ignore', 'pipe', 'pipe'] },
  );
  process.umask(umask);
  let log = '';
  for (const stream of [daemon.stdout, daemon.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      log += text;
    });
  const ended = once(daemon, 'exit');
  ended.catch((error: Error) => {
    // Told below, when the daemon is found not to answer: node is where `nobody` may not run it, say.
    log += `${error.message}\n`;
  });
  try {
    await until('the daemon answers', async () => (await swarm('info')).includes('inactive'));
    const listen = `${ADDRESS}:${API_PORT}`;
    await swarm('init', '--listen-addr', listen, '--advertise-addr', listen);
    const create = ['service', 'create', '--quiet', '--name', 'web', '--publish', `${WEB_PORT}:80`];
    await swarm(...create, '--update-monitor', '1s', 'host', process.execPath, '-e', SERVER);
    t.is(await (await fetch(`http://${ADDRESS}:${WEB_PORT}/`)).text(), 'packed');
    t.regex(await swarm('service', 'ls'), /web +replicated +1\/1 +host/);
    const found = modesBelow(join(state, 'data'));
    for (const name of ['node.json', 'certificates', 'raft', 'worker'])
      t.true(
        [...found.keys()].some((path) => path.startsWith(name)),
        name,
      );
    t.deepEqual(
      [...found].filter(([path, mode]) => !path.startsWith('tasks/') && (mode & 0o077) !== 0),
      [],
    );
    t.is(statSync(join(state, 'swarm.sock')).mode & 0o777, 0o660);
    await swarm('service', 'rm', 'web');
    daemon.kill('SIGTERM');
    t.deepEqual(await ended, [0, null]);
    t.notRegex(log, /Deprecat|ExperimentalWarning/);
  } catch (error) {
    throw new Error(`${(error as Error).message}\nThe daemon said:\n${log}`, { cause: error });
  }
});

test('the version of the command is that of its package', async (t) => {
  const { version } = JSON.parse(readFileSync(join(PACKAGE, 'package.json'), 'utf8'));
  const { PROGRAM } = await import('@swarm/api');
  t.is(PROGRAM.Version, version);
});

test("the package's dependencies are those of the lockfile", (t) => {
  const read = (path: string) => JSON.parse(readFileSync(join(PACKAGE, path), 'utf8'));
  const { dependencies, optionalDependencies } = read('package.json');
  const { packages } = read('../../package-lock.json');
  for (const [name, range] of Object.entries({ ...dependencies, ...optionalDependencies }))
    t.is(range, `^${packages[`node_modules/${name}`].version}`, name);
});
