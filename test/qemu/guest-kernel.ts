import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Debian's package that depends on the newest kernel. */
const META_PACKAGE = 'linux-image-amd64';
/** Holds each kernel in a folder with the name of its package. */
const CACHE = fileURLToPath(new URL('../../../node_modules/.qemu/', import.meta.url));
/** What the first root needs to reach the machine's: a disk over 9p, with a layer on top that takes writes. */
const EARLY_MODULES = ['virtio_pci', 'virtio_console', '9pnet_virtio', '9p', 'overlay'];

/** A kernel that a guest can boot. */
export interface GuestKernel {
  /** As of `uname -r`. */
  readonly release: string;
  /** The file to boot. */
  readonly image: string;
  /** What the guest sees as `/lib/modules`. */
  readonly modules: string;
  /** Files of the modules that the first root loads, in this order. */
  readonly early: readonly string[];
}

/**
 * The newest kernel of Debian, from the cache if it is there.
 * @param say what is about to be fetched
 * @throws when it cannot be had; the message says what to install
 */
export async function guestKernel(say: (text: string) => void): Promise<GuestKernel> {
  await mkdir(CACHE, { recursive: true });
  const cached = (await readdir(CACHE)).filter((name) => name.startsWith('linux-image-')).sort();
  const name = cached.at(-1) ?? (await fetchKernel(say));
  const folder = join(CACHE, name);
  const release = name.replace(/^linux-image-/, '');
  const modules = join(folder, 'lib/modules');
  return {
    release,
    image: join(folder, 'boot', `vmlinuz-${release}`),
    modules,
    early: await earlyModules(join(modules, release)),
  };
}

/** @returns the name of the package, which is that of its folder in the cache */
async function fetchKernel(say: (text: string) => void): Promise<string> {
  const name = await newestPackage();
  say(`fetching ${name} (about 70 MB, once) into node_modules/.qemu; nothing is installed`);
  const temporary = await mkdtemp(join(CACHE, 'new-'));
  try {
    await run('apt-get', ['download', name], { cwd: temporary });
    const [file] = await readdir(temporary);
    await run('dpkg-deb', ['-x', file!, 'tree'], { cwd: temporary });
    const tree = join(temporary, 'tree');
    // Modules name each other, and the kernel asks for some by what they do.
    await run('/sbin/depmod', ['-b', tree, name.replace(/^linux-image-/, '')]);
    await rename(tree, join(CACHE, name));
    return name;
  } catch (error) {
    throw new Error(`the kernel ${name} could not be fetched: ${(error as Error).message}`);
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

async function newestPackage(): Promise<string> {
  try {
    const { stdout } = await run('apt-cache', ['depends', '--important', META_PACKAGE]);
    const name = /Depends: (linux-image-\S+)/.exec(stdout)?.[1];
    if (name !== undefined) return name;
  } catch {
    // The answer is the same.
  }
  throw new Error(
    `apt knows no ${META_PACKAGE}: on Debian run "apt-get update"; other systems cannot run this`,
  );
}

/** The modules with all that they need, each after those. */
async function earlyModules(folder: string): Promise<string[]> {
  const needs = new Map<string, readonly string[]>();
  for (const line of (await readFile(join(folder, 'modules.dep'), 'utf8')).split('\n')) {
    const [file, rest] = line.split(':');
    if (rest !== undefined) needs.set(file!, rest.trim().split(' ').filter(Boolean));
  }
  const order: string[] = [];
  const add = (file: string): void => {
    if (order.includes(file)) return;
    for (const need of needs.get(file) ?? []) add(need);
    order.push(file);
  };
  for (const name of EARLY_MODULES) {
    const file = [...needs.keys()].find((path) => path.endsWith(`/${name}.ko`));
    // A kernel may have it built in.
    if (file !== undefined) add(file);
  }
  return order.map((file) => join(folder, file));
}

/** Folder of this file's sources, for scripts that are not compiled. */
export function sourceFile(name: string): string {
  return join(dirname(fileURLToPath(import.meta.url)), '../../qemu', name);
}
