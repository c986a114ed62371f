import { accessSync, constants, existsSync, readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { runGuest } from './guest.js';
import { guestKernel } from './guest-kernel.js';

const USAGE = `Usage: scripts/qemu [options] -- COMMAND [ARG...]
Runs a command as root in a virtual machine with Debian's kernel, which has what this machine's may lack: WireGuard,
IPsec, IPVS. The guest has this machine's files at the same paths; what it writes is in its memory and gone at the
end. It has no network but what the command makes. See docs/lab.md.

  --without MODULE   the guest's kernel refuses to load it; may be repeated
  --seconds N        deadline (default 600)
  --memory MB        of the guest (default 2048)
  --cpus N           of the guest (default 2)
  --accel ACCEL      kvm, or tcg to emulate (default: kvm if the processor and /dev/kvm offer it)

Exit code: that of the command; 124 past the deadline; 125 if it could not be run; 130 interrupted.
`;

const EXIT_LATE = 124;
const EXIT_BROKEN = 125;
const EXIT_INTERRUPTED = 130;

function readArguments(args: string[]) {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      without: { type: 'string', multiple: true, default: [] },
      seconds: { type: 'string', default: '600' },
      memory: { type: 'string', default: '2048' },
      cpus: { type: 'string', default: '2' },
      accel: { type: 'string', default: hasKvm() ? 'kvm' : 'tcg' },
      help: { type: 'boolean', default: false },
    },
  });
  const { accel, without } = values;
  if (values.help) return undefined;
  if (accel !== 'kvm' && accel !== 'tcg')
    throw new Error(`--accel must be kvm or tcg, not ${accel}`);
  for (const name of without) {
    if (!/^[a-z0-9_]+$/.test(name)) throw new Error(`"${name}" cannot be the name of a module`);
  }
  if (positionals.length === 0) throw new Error('a command is missing; write it after --');
  return {
    command: positionals,
    without,
    accel: accel as 'kvm' | 'tcg',
    deadlineMs: positive('seconds', values.seconds) * 1000,
    memoryMb: positive('memory', values.memory),
    cpus: positive('cpus', values.cpus),
  };
}

/** A virtual machine may have /dev/kvm without what it takes to run a guest within: it then spins. */
function hasKvm(): boolean {
  try {
    accessSync('/dev/kvm', constants.R_OK | constants.W_OK);
    return /^flags.*\b(?:vmx|svm)\b/m.test(readFileSync('/proc/cpuinfo', 'utf8'));
  } catch {
    return false;
  }
}

function positive(name: string, text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value > 0) return value;
  throw new Error(`--${name} must be a positive whole number, not ${text}`);
}

/** @throws naming the packages to install */
function checkHost(): void {
  if (process.arch !== 'x64')
    throw new Error(`only for x86-64 machines, and this one is ${process.arch}`);
  const missing = [
    ['/usr/bin/qemu-system-x86_64', 'qemu-system-x86'],
    ['/sbin/depmod', 'kmod'],
    ['/bin/busybox', 'busybox-static'],
    ['/usr/bin/setpriv', 'util-linux'],
  ].filter(([path]) => !existsSync(path!));
  if (missing.length === 0) return;
  const packages = missing.map(([, name]) => name).join(' ');
  throw new Error(`not installed: ${packages}; run ./scripts/setup --all, or install them`);
}

const say = (text: string): void => void process.stderr.write(`qemu: ${text}\n`);
let wanted: ReturnType<typeof readArguments>;
try {
  wanted = readArguments(process.argv.slice(2));
} catch (error) {
  say((error as Error).message);
  process.exit(EXIT_BROKEN);
}
if (wanted === undefined) {
  process.stdout.write(USAGE);
  process.exit(0);
}
const interrupted = new AbortController();
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(name, () => interrupted.abort());
}
try {
  checkHost();
  const end = await runGuest({
    ...wanted,
    kernel: await guestKernel(say),
    folder: process.cwd(),
    signal: interrupted.signal,
    out: (text) => process.stdout.write(text),
    err: (text) => process.stderr.write(text),
  });
  if (end.kind === 'exited') process.exitCode = end.code;
  else if (end.kind === 'interrupted') process.exitCode = EXIT_INTERRUPTED;
  else if (end.kind === 'late') {
    say(`the command had not ended after ${wanted.deadlineMs / 1000} s`);
    process.exitCode = EXIT_LATE;
  } else {
    say(`the guest ended before the command; its last messages:\n${end.console}`);
    process.exitCode = EXIT_BROKEN;
  }
} catch (error) {
  say((error as Error).message);
  process.exitCode = EXIT_BROKEN;
}
