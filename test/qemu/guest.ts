import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import type { Readable } from 'node:stream';
import { type CpioEntry, packCpio } from './cpio.js';
import { type GuestKernel, sourceFile } from './guest-kernel.js';

const FOLDER_MODE = 0o040755;
const FILE_MODE = 0o100755;
/** Of the kernel's messages, shown when the command did not run to its end. */
const CONSOLE_LINES = 40;

export interface GuestOptions {
  readonly kernel: GuestKernel;
  /** Program and arguments; a shell of the guest gets them quoted. */
  readonly command: readonly string[];
  /** Where the command runs; the guest has the machine's files at their paths. */
  readonly folder: string;
  /** Modules that the guest's kernel refuses to load. */
  readonly without: readonly string[];
  readonly memoryMb: number;
  readonly cpus: number;
  readonly accel: 'kvm' | 'tcg';
  readonly deadlineMs: number;
  readonly signal: AbortSignal;
  readonly out: (text: Buffer) => void;
  readonly err: (text: Buffer) => void;
}

/** How a guest ended. */
export type GuestEnd =
  | { readonly kind: 'exited'; readonly code: number }
  | { readonly kind: 'late' }
  | { readonly kind: 'interrupted' }
  | { readonly kind: 'broken'; readonly console: string };

/** File handles of the emulator, in this order from 3 on. */
const CHANNELS = ['out', 'err', 'status', 'console'] as const;

/**
 * Boots a guest, runs one command in it as root, and ends it. The machine's disk is read-only for it, and all that it
 * writes is in its memory, so nothing of it is left, however it ends: the emulator gets a signal when this process
 * dies, and no file is kept.
 * @throws when the emulator is not installed
 */
export async function runGuest(options: GuestOptions): Promise<GuestEnd> {
  const initramfs = await unlinkedFile(packInitramfs(options));
  let emulator: ChildProcess;
  try {
    emulator = spawn(
      'setpriv',
      ['--pdeathsig', 'KILL', 'qemu-system-x86_64', ...emulatorArgs(options)],
      {
        stdio: ['ignore', 'inherit', 'inherit', ...CHANNELS.map(() => 'pipe' as const), initramfs],
      },
    );
  } finally {
    closeSync(initramfs);
  }
  const [out, err, status, consoleText] = CHANNELS.map((_, i) => emulator.stdio[i + 3] as Readable);
  out!.on('data', options.out);
  err!.on('data', options.err);
  const code = collect(status!);
  const messages = collect(consoleText!);
  let cause: 'late' | 'interrupted' | undefined;
  const stop = (why: 'late' | 'interrupted'): void => {
    cause ??= why;
    emulator.kill('SIGKILL');
  };
  const timer = setTimeout(() => stop('late'), options.deadlineMs);
  const onAbort = (): void => stop('interrupted');
  options.signal.addEventListener('abort', onAbort);
  if (options.signal.aborted) onAbort();
  try {
    await new Promise<void>((resolve, reject) => {
      emulator.on('error', reject);
      emulator.on('close', () => resolve());
    });
  } finally {
    clearTimeout(timer);
    options.signal.removeEventListener('abort', onAbort);
  }
  if (cause !== undefined) return { kind: cause };
  const text = code().trim();
  if (/^\d+$/.test(text)) return { kind: 'exited', code: Number(text) };
  return { kind: 'broken', console: messages().split('\n').slice(-CONSOLE_LINES).join('\n') };
}

function emulatorArgs({ kernel, memoryMb, cpus, accel, without }: GuestOptions): string[] {
  const append = ['console=ttyS0', 'quiet', 'loglevel=4', 'panic=-1', 'rdinit=/init'];
  if (without.length > 0) append.push(`module_blacklist=${without.join(',')}`);
  return [
    ...['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot', '-net', 'none'],
    ...['-machine', 'q35', '-cpu', 'max', '-smp', `${cpus}`, '-m', `${memoryMb}`],
    ...['-accel', accel === 'kvm' ? 'kvm' : 'tcg,thread=multi'],
    ...['-kernel', kernel.image, '-initrd', `/proc/self/fd/${CHANNELS.length + 3}`],
    ...['-append', append.join(' ')],
    ...['-fsdev', 'local,id=machine,path=/,security_model=none,readonly=on,multidevs=remap'],
    ...['-device', 'virtio-9p-pci,fsdev=machine,mount_tag=machine'],
    ...['-device', 'virtio-serial-pci'],
    ...CHANNELS.flatMap((name, i) => ['-chardev', `socket,id=${name},fd=${i + 3}`]),
    ...['out', 'err', 'status'].flatMap((name) => [
      '-device',
      `virtserialport,chardev=${name},name=${name}`,
    ]),
    ...['-serial', 'chardev:console'],
  ];
}

function packInitramfs({ kernel, command, folder }: GuestOptions): Buffer {
  const file = (path: string, data: Uint8Array): CpioEntry => ({ path, mode: FILE_MODE, data });
  const job = [
    `FOLDER=${quote(folder)}`,
    `MODULES=${quote(kernel.modules)}`,
    `COMMAND=${quote(command.map(quote).join(' '))}`,
    '',
  ];
  return packCpio([
    { path: 'modules', mode: FOLDER_MODE, data: new Uint8Array() },
    ...kernel.early.map((path) => file(`modules/${basename(path)}`, readFileSync(path))),
    file('order', Buffer.from(kernel.early.map((path) => `${basename(path)}\n`).join(''))),
    file('busybox', readFileSync('/bin/busybox')),
    file('init', readFileSync(sourceFile('first-init.sh'))),
    file('second-init.sh', readFileSync(sourceFile('second-init.sh'))),
    file('job', Buffer.from(job.join('\n'))),
  ]);
}

/** A handle of a file that has no name any more. */
async function unlinkedFile(data: Uint8Array): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), 'swarm-qemu-'));
  try {
    const handle = openSync(join(folder, 'initramfs'), 'w+');
    for (let at = 0; at < data.length; ) at += writeSync(handle, data, at);
    return handle;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function collect(stream: Readable): () => string {
  const parts: Buffer[] = [];
  stream.on('data', (part: Buffer) => parts.push(part));
  return () => Buffer.concat(parts).toString('utf8');
}

/** As one word of a shell. */
function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
