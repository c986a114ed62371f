import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Programs that are nothing but a list of system calls: static ELF files for x86_64 of a few kilobytes, each
 * made for one use. At the start of a task, one of them does what would otherwise take six programs
 * (nsenter, unshare, sh, mount, setsid, setpriv), each as expensive to start as the task itself.
 *
 * The machine code walks a table. An entry is a call with its arguments, all known beforehand, and what its
 * result means. Data follows the table, at addresses that are known as well.
 */

/** What a call's result means. */
export type CallKind =
  /** An error ends the program: it writes `what` and the error's number, and exits with 125. */
  | 'must'
  /** The result is ignored. */
  | 'may'
  /**
   * A fork: the child continues with the list. The parent reaps every child until this one ends, writes its
   * exit code (128 + signal) to {@link EXIT_FD} and exits with it.
   */
  | 'fork';

/**
 * An integer of at most 53 bits, or data whose address the call gets: text with a trailing NUL, bytes, or
 * texts with a trailing null pointer. The same bytes given twice share one place in memory: what one call
 * reads into them, another can write.
 */
export type CallArgument = number | string | Uint8Array | readonly string[];

export interface Call {
  /** System call number of x86_64. */
  readonly number: number;
  /** At most five. */
  readonly args: readonly CallArgument[];
  readonly kind: CallKind;
  /** What the call does, to follow "could not". */
  readonly what: string;
}

/** Errors are written here as "could not …: error 001" and a line feed. */
export const FAILURE_FD = 7;
/** Exit codes are written here as three digits and a line feed. */
export const EXIT_FD = 6;
/** Exit code of a program one of whose calls failed. */
export const CALL_FAILED_CODE = 125;

/**
 * Closes what the program inherited, from this number on: LevelDB's descriptors stay open across an exec.
 * Linux 5.9 and later.
 */
export function closeInherited(from: number): Call {
  return {
    number: 436, // close_range(2)
    args: [from, 0xffff_ffff, 0],
    kind: 'must',
    what: 'close what it inherited',
  };
}

/** Where the kernel maps the file's two parts; any page that is free in an empty process works. */
const CODE_ADDRESS = 0x40_0000;
const DATA_ADDRESS = 0x41_0000;
const PAGE_BYTES = 4096;
/** Longest run of the program that tests whether such programs work. */
const PROBE_LIMIT_MS = 5_000;
const ELF_HEADER_BYTES = 64;
const PROGRAM_HEADER_BYTES = 56;
const CODE_OFFSET = ELF_HEADER_BYTES + 2 * PROGRAM_HEADER_BYTES;
/** At the start of the data: digits of a number and a line feed, then the status that wait4(2) gives. */
const DIGITS_ADDRESS = DATA_ADDRESS;
const STATUS_ADDRESS = DATA_ADDRESS + 8;
const TABLE_ADDRESS = DATA_ADDRESS + 16;
/** Call number, five arguments, kind, address and length of `what`: 8 bytes each. */
const ENTRY_WORDS = 9;
const ENTRY_BYTES = ENTRY_WORDS * 8;
const TABLE_OFFSET = PAGE_BYTES + TABLE_ADDRESS - DATA_ADDRESS;
/** Room for data that is enough for most programs. */
const FIRST_DATA_BYTES = 8 * 1024;
const KIND_WORD: Readonly<Record<CallKind, number>> = { must: 0, may: 1, fork: 2 };

/** Whether this machine can run such programs. */
export function hasCallPrograms(): boolean {
  return process.arch === 'x64' && process.platform === 'linux';
}

/**
 * Whether such programs run from a folder and the kernel has all that they need; some hosts mount their data
 * `noexec`.
 */
export function runsCallPrograms(folder: string): boolean {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const path = join(folder, '.probe');
  const exit = { number: 231, args: [0], kind: 'must', what: 'exit' } as const;
  try {
    writeFileSync(path, callProgram([closeInherited(0), exit]), { mode: 0o700 });
    return spawnSync(path, { stdio: 'ignore', timeout: PROBE_LIMIT_MS }).status === 0;
  } finally {
    rmSync(path, { force: true });
  }
}

/** Makes the program. The last call must not return: an exec or an exit. */
export function callProgram(calls: readonly Call[]): Buffer {
  const data = new DataPart(calls.length * ENTRY_BYTES);
  calls.forEach(({ number, args, kind, what }, index) => {
    const at = index * ENTRY_WORDS;
    data.set(at, number);
    for (let each = 0; each < args.length; each += 1) data.set(at + 1 + each, args[each]!);
    data.set(at + 6, KIND_WORD[kind]);
    data.set(at + 7, `could not ${what}: error `);
    data.set(at + 8, Buffer.byteLength(what) + 'could not : error '.length);
  });
  return data.file();
}

/** The table, and what its arguments point to. Built for each task, so it allocates no small objects. */
class DataPart {
  /** The whole file: the first page is code, data comes after it. */
  #file: Buffer;
  /** Where the next data goes; `#file` has room from there on. */
  #end: number;
  readonly #places = new Map<string | Uint8Array, number>();

  constructor(tableBytes: number) {
    this.#end = TABLE_OFFSET + tableBytes;
    this.#file = Buffer.alloc(this.#end + FIRST_DATA_BYTES);
    this.#file.write('000\n', PAGE_BYTES);
  }

  /** Sets a word of the table, 8 bytes each: the argument itself or its address. */
  set(word: number, argument: CallArgument): void {
    this.#setWord(TABLE_OFFSET + word * 8, this.#valueOf(argument));
  }

  file(): Buffer {
    const file = this.#file.subarray(0, this.#end);
    header(file, this.#end - PAGE_BYTES);
    CODE.copy(file, CODE_OFFSET);
    return file;
  }

  #valueOf(argument: CallArgument): number {
    if (typeof argument === 'number') return argument;
    if (!isText(argument) && !(argument instanceof Uint8Array)) return this.#pointers(argument);
    const known = this.#places.get(argument);
    if (known !== undefined) return known;
    const length = isText(argument) ? Buffer.byteLength(argument) + 1 : argument.length;
    const at = this.#take(length);
    if (isText(argument)) this.#file.write(argument, at);
    else this.#file.set(argument, at);
    this.#places.set(argument, addressOf(at));
    return addressOf(at);
  }

  #pointers(texts: readonly string[]): number {
    const at = this.#take((texts.length + 1) * 8);
    texts.forEach((text, index) => {
      this.#setWord(at + index * 8, this.#valueOf(text));
    });
    return addressOf(at);
  }

  /** Reserves this many bytes, all zero. */
  #take(bytes: number): number {
    const at = this.#end;
    this.#end = Math.ceil((at + bytes) / 8) * 8;
    if (this.#end > this.#file.length) {
      const larger = Buffer.alloc(this.#end * 2);
      this.#file.copy(larger);
      this.#file = larger;
    }
    return at;
  }

  #setWord(at: number, value: number): void {
    this.#file.writeInt32LE(value | 0, at);
    this.#file.writeInt32LE(Math.floor(value / 2 ** 32) | 0, at + 4);
  }
}

function isText(argument: CallArgument): argument is string {
  return typeof argument === 'string';
}

function addressOf(offset: number): number {
  return DATA_ADDRESS + offset - PAGE_BYTES;
}

/** ELF header and two segments (elf(5)): code that is not writable, data that is not executable. */
function header(file: Buffer, dataBytes: number): void {
  file.write('\x7fELF', 0, 'latin1');
  file.set([2, 1, 1], 4); // 64 bit, little endian, version 1
  file.writeUInt16LE(2, 16); // ET_EXEC
  file.writeUInt16LE(62, 18); // EM_X86_64
  file.writeUInt32LE(1, 20); // version
  file.writeBigUInt64LE(BigInt(CODE_ADDRESS + CODE_OFFSET), 24); // entry
  file.writeBigUInt64LE(BigInt(ELF_HEADER_BYTES), 32); // program headers
  file.writeUInt16LE(ELF_HEADER_BYTES, 52);
  file.writeUInt16LE(PROGRAM_HEADER_BYTES, 54);
  file.writeUInt16LE(2, 56); // program headers
  segment(file, ELF_HEADER_BYTES, 0b101, 0, CODE_ADDRESS, PAGE_BYTES);
  const next = ELF_HEADER_BYTES + PROGRAM_HEADER_BYTES;
  segment(file, next, 0b110, PAGE_BYTES, DATA_ADDRESS, dataBytes);
}

function segment(
  file: Buffer,
  at: number,
  flags: number,
  offset: number,
  address: number,
  bytes: number,
): void {
  file.writeUInt32LE(1, at); // PT_LOAD
  file.writeUInt32LE(flags, at + 4); // PF_R 4, PF_W 2, PF_X 1
  file.writeBigUInt64LE(BigInt(offset), at + 8);
  file.writeBigUInt64LE(BigInt(address), at + 16); // virtual address
  file.writeBigUInt64LE(BigInt(address), at + 24); // physical address
  file.writeBigUInt64LE(BigInt(bytes), at + 32); // size in the file
  file.writeBigUInt64LE(BigInt(bytes), at + 40); // size in memory
  file.writeBigUInt64LE(BigInt(PAGE_BYTES), at + 48); // alignment
}

/** A label, an instruction's bytes, or a jump: opcode and the label it goes to, 8 or 32 bits away. */
type Line = string | readonly number[] | { readonly opcode: number; readonly to: string };

function jump(opcode: number, to: string): Line {
  return { opcode, to };
}

/** `call` with a 32-bit distance; the other jumps here have 8 bits. */
const CALL = 0xe8;

function lengthOf(line: Line): number {
  if (typeof line === 'string') return 0;
  return 'opcode' in line ? (line.opcode === CALL ? 5 : 2) : line.length;
}

function assemble(lines: readonly Line[]): Buffer {
  const labels = new Map<string, number>();
  let at = 0;
  for (const line of lines) {
    if (typeof line === 'string') labels.set(line, at);
    at += lengthOf(line);
  }
  const code = Buffer.alloc(at);
  at = 0;
  for (const line of lines) {
    const end = at + lengthOf(line);
    if (typeof line !== 'string' && 'opcode' in line) {
      const distance = labels.get(line.to)! - end;
      code[at] = line.opcode;
      if (line.opcode === CALL) code.writeInt32LE(distance, at + 1);
      else code.writeInt8(distance, at + 1);
    } else if (typeof line !== 'string') code.set(line, at);
    at = end;
  }
  return code;
}

/** The bytes of a 32-bit operand. */
function word32(value: number): number[] {
  return [value & 0xff, (value >> 8) & 0xff, (value >> 16) & 0xff, (value >> 24) & 0xff];
}

/**
 * Intel SDM volume 2; system calls by syscall(2): number in rax, arguments in rdi, rsi, rdx, r10, r8,
 * the result in rax, an error as its negative number.
 */
function machineCode(): Buffer {
  const syscall = [0x0f, 0x05];
  return assemble([
    [0xbb, ...word32(TABLE_ADDRESS)], // mov ebx, table
    'next',
    [0x48, 0x8b, 0x03], // mov rax, [rbx]
    [0x48, 0x8b, 0x7b, 8], // mov rdi, [rbx+8]
    [0x48, 0x8b, 0x73, 16], // mov rsi, [rbx+16]
    [0x48, 0x8b, 0x53, 24], // mov rdx, [rbx+24]
    [0x4c, 0x8b, 0x53, 32], // mov r10, [rbx+32]
    [0x4c, 0x8b, 0x43, 40], // mov r8, [rbx+40]
    syscall,
    [0x8b, 0x4b, 48], // mov ecx, [rbx+48]        kind
    [0x83, 0xf9, KIND_WORD.may], // cmp ecx, may
    jump(0x74, 'advance'), // je
    [0x48, 0x85, 0xc0], // test rax, rax
    jump(0x78, 'fail'), // js
    [0x83, 0xf9, KIND_WORD.fork], // cmp ecx, fork
    jump(0x75, 'advance'), // jne
    [0x48, 0x85, 0xc0], // test rax, rax            0 is the child
    jump(0x75, 'parent'), // jne
    'advance',
    [0x48, 0x83, 0xc3, ENTRY_BYTES], // add rbx, entry
    jump(0xeb, 'next'), // jmp

    'parent',
    [0x48, 0x89, 0xc5], // mov rbp, rax             the child
    'again',
    [0xb8, ...word32(61)], // mov eax, 61              wait4(
    [0x48, 0xc7, 0xc7, ...word32(-1)], // mov rdi, -1              any child,
    [0xbe, ...word32(STATUS_ADDRESS)], // mov esi, status          status,
    [0x31, 0xd2], // xor edx, edx             0,
    [0x45, 0x31, 0xd2], // xor r10d, r10d           NULL)
    syscall,
    [0x48, 0x39, 0xe8], // cmp rax, rbp
    jump(0x74, 'ended'), // je
    [0x48, 0x83, 0xf8, 0x100 - 10], // cmp rax, -10             ECHILD
    jump(0x75, 'again'), // jne                      an orphan, or EINTR
    [0xbf, ...word32(CALL_FAILED_CODE)], // mov edi, 125
    jump(0xeb, 'exit'), // jmp
    'ended',
    [0x8b, 0x3c, 0x25, ...word32(STATUS_ADDRESS)], // mov edi, [status]
    [0x89, 0xf8], // mov eax, edi
    [0x83, 0xe0, 0x7f], // and eax, 0x7f            the signal
    jump(0x74, 'exited'), // je
    [0x8d, 0xb8, ...word32(128)], // lea edi, [rax+128]
    jump(0xeb, 'tell'), // jmp
    'exited',
    [0xc1, 0xef, 8], // shr edi, 8
    [0x40, 0x0f, 0xb6, 0xff], // movzx edi, dil
    'tell',
    [0x89, 0xfd], // mov ebp, edi
    [0x89, 0xf8], // mov eax, edi
    [0x41, 0xbc, ...word32(EXIT_FD)], // mov r12d, exit_fd
    jump(CALL, 'number'), // call
    [0x89, 0xef], // mov edi, ebp
    'exit',
    [0xb8, ...word32(231)], // mov eax, 231             exit_group(code)
    syscall,

    'fail',
    [0x48, 0x89, 0xc5], // mov rbp, rax
    [0x48, 0xf7, 0xdd], // neg rbp
    [0x41, 0xbc, ...word32(FAILURE_FD)], // mov r12d, failure_fd
    [0x48, 0x8b, 0x73, 56], // mov rsi, [rbx+56]        what
    [0x48, 0x8b, 0x53, 64], // mov rdx, [rbx+64]        its length
    jump(CALL, 'write'), // call
    [0x89, 0xe8], // mov eax, ebp
    jump(CALL, 'number'), // call
    [0xbf, ...word32(CALL_FAILED_CODE)], // mov edi, 125
    jump(0xeb, 'exit'), // jmp

    // Writes eax, below 1000, to the descriptor in r12d.
    'number',
    [0xbe, ...word32(DIGITS_ADDRESS + 3)], // mov esi, behind the digits
    [0xb9, ...word32(10)], // mov ecx, 10
    'digit',
    [0x31, 0xd2], // xor edx, edx
    [0xf7, 0xf1], // div ecx
    [0xff, 0xce], // dec esi
    [0x80, 0xc2, 0x30], // add dl, '0'
    [0x88, 0x16], // mov [rsi], dl
    [0x81, 0xfe, ...word32(DIGITS_ADDRESS)], // cmp esi, digits
    jump(0x75, 'digit'), // jne
    [0xba, ...word32(4)], // mov edx, 4
    // Writes edx bytes at rsi to the descriptor in r12d.
    'write',
    [0xb8, ...word32(1)], // mov eax, 1               write(
    [0x44, 0x89, 0xe7], // mov edi, r12d            fd, …)
    syscall,
    [0xc3], // ret
  ]);
}

const CODE = machineCode();
