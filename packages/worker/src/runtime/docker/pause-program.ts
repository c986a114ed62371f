/** Where the kernel maps the file; any page that is free in an empty process will do. */
const BASE = 0x40_0000;
const ELF_HEADER_BYTES = 64;
const PROGRAM_HEADER_BYTES = 56;
const CODE_OFFSET = ELF_HEADER_BYTES + PROGRAM_HEADER_BYTES;
/** SIGINT (2) and SIGTERM (15), a bit each from signal 1 on. */
const SIGNAL_MASK = (1n << 1n) | (1n << 14n);

interface Machine {
  /** `e_machine` of elf(5). */
  readonly elf: number;
  /** @param mask address of the signal mask */
  code(mask: number): Buffer;
}

/** By the name that `uname -m` and the engine's `Architecture` give. */
const MACHINES: Readonly<Record<string, Machine>> = {
  x86_64: { elf: 62, code: codeForX86 },
  amd64: { elf: 62, code: codeForX86 },
  aarch64: { elf: 183, code: codeForArm },
  arm64: { elf: 183, code: codeForArm },
};

/**
 * The one program of a sandbox: a static ELF file of about 200 bytes that does nothing until SIGTERM or
 * SIGINT, and then exits with 0. It blocks the two and waits for them, because the first process of a PID
 * namespace gets a signal only if it blocks or handles it (signal(7), pid_namespaces(7)); blocking needs
 * neither a handler nor its trampoline.
 * @returns undefined for a machine that it does not support
 */
export function pauseProgram(architecture: string): Buffer | undefined {
  const machine = MACHINES[architecture];
  if (machine === undefined) return undefined;
  // The mask follows the code, whose length does not depend on the address.
  const length = machine.code(BASE).length;
  const maskOffset = CODE_OFFSET + length + ((8 - (length % 8)) % 8);
  const file = Buffer.alloc(maskOffset + 8);
  header(file, machine.elf);
  machine.code(BASE + maskOffset).copy(file, CODE_OFFSET);
  file.writeBigUInt64LE(SIGNAL_MASK, maskOffset);
  return file;
}

/** ELF header and the one segment that holds the whole file, readable and executable (elf(5)). */
function header(file: Buffer, machine: number): void {
  file.write('\x7fELF', 0, 'latin1');
  file.set([2, 1, 1], 4); // 64 bit, little endian, version 1
  file.writeUInt16LE(2, 16); // ET_EXEC
  file.writeUInt16LE(machine, 18);
  file.writeUInt32LE(1, 20); // version
  file.writeBigUInt64LE(BigInt(BASE + CODE_OFFSET), 24); // entry
  file.writeBigUInt64LE(BigInt(ELF_HEADER_BYTES), 32); // program headers
  file.writeUInt16LE(ELF_HEADER_BYTES, 52);
  file.writeUInt16LE(PROGRAM_HEADER_BYTES, 54);
  file.writeUInt16LE(1, 56); // program headers: one
  const at = ELF_HEADER_BYTES;
  file.writeUInt32LE(1, at); // PT_LOAD
  file.writeUInt32LE(0b101, at + 4); // PF_R | PF_X
  file.writeBigUInt64LE(0n, at + 8); // offset in the file
  file.writeBigUInt64LE(BigInt(BASE), at + 16); // virtual address
  file.writeBigUInt64LE(BigInt(BASE), at + 24); // physical address
  file.writeBigUInt64LE(BigInt(file.length), at + 32); // size in the file
  file.writeBigUInt64LE(BigInt(file.length), at + 40); // size in memory
  file.writeBigUInt64LE(0x1_0000n, at + 48); // alignment: the largest page, 64 KiB
}

/** Intel SDM volume 2; system calls by syscall(2): number in rax, arguments in rdi, rsi, rdx, r10. */
function codeForX86(mask: number): Buffer {
  const address = [mask & 0xff, (mask >> 8) & 0xff, (mask >> 16) & 0xff, (mask >> 24) & 0xff];
  const block = [
    ...[0xb8, 14, 0, 0, 0], // mov eax, 14         rt_sigprocmask(
    ...[0x31, 0xff], // xor edi, edi          SIG_BLOCK,
    ...[0xbe, ...address], // mov esi, mask         mask,
    ...[0x31, 0xd2], // xor edx, edx          NULL,
    ...[0x41, 0xba, 8, 0, 0, 0], // mov r10d, 8           8)
    ...[0x0f, 0x05], // syscall
  ];
  const wait = [
    ...[0xb8, 128, 0, 0, 0], // mov eax, 128        rt_sigtimedwait(
    ...[0xbf, ...address], // mov edi, mask         mask,
    ...[0x31, 0xf6], // xor esi, esi          NULL,
    ...[0x31, 0xd2], // xor edx, edx          NULL: for ever,
    ...[0x41, 0xba, 8, 0, 0, 0], // mov r10d, 8           8)
    ...[0x0f, 0x05], // syscall
    ...[0x85, 0xc0], // test eax, eax         a signal's number, or an error:
  ];
  // A stop and a continue interrupt the wait (EINTR): again.
  const again = [0x7e, 0x100 - (wait.length + 2)]; // jle wait
  const exit = [
    ...[0xb8, 60, 0, 0, 0], // mov eax, 60         exit(
    ...[0x31, 0xff], // xor edi, edi          0)
    ...[0x0f, 0x05], // syscall
  ];
  return Buffer.from([...block, ...wait, ...again, ...exit]);
}

/** Arm ARM (DDI 0487) C6.2; system calls by syscall(2): number in x8, arguments in x0 to x3. */
function codeForArm(mask: number): Buffer {
  const svc = 0xd400_0001;
  const movz = (register: number, value: number): number =>
    (0xd280_0000 | (value << 5) | register) >>> 0;
  /** Address of the mask, relative to the instruction that asks. */
  const adr = (register: number, at: number): number => {
    const distance = mask - (BASE + CODE_OFFSET + at * 4);
    return (0x1000_0000 | ((distance & 3) << 29) | ((distance >> 2) << 5) | register) >>> 0;
  };
  const words = [
    ...[movz(8, 135), movz(0, 0), adr(1, 2), movz(2, 0), movz(3, 8), svc], // rt_sigprocmask
    ...[movz(8, 137), adr(0, 7), movz(1, 0), movz(2, 0), movz(3, 8), svc], // rt_sigtimedwait
    0xf100_001f, // cmp x0, #0
    (0x5400_000d | ((-7 & 0x7_ffff) << 5)) >>> 0, // b.le, seven instructions back
    ...[movz(8, 93), movz(0, 0), svc], // exit
  ];
  const code = Buffer.alloc(words.length * 4);
  words.forEach((word, index) => {
    code.writeUInt32LE(word, index * 4);
  });
  return code;
}
