import { SerialQueue } from '@swarm/api';
import type { RunCommand } from '../kernel/command.js';
import { type Nft, NftError } from '../kernel/nft.js';
import { nftTransaction } from '../kernel/nft-command.js';
import { checkNftText } from '../kernel/words.js';

/**
 * Longer texts run in their own process: the library takes about 2 KB of memory per element, which this
 * process would never give back, and blocks the event loop for 10 µs each.
 */
const IN_PROCESS_LIMIT_CHARS = 16 * 1024;

/**
 * {@link Nft} through libnftables in this process: 0.1 ms per transaction instead of a process each. The
 * context's socket belongs to the network namespace in which it is opened.
 * @throws when koffi or the library is missing
 */
export async function openLibnftables(runCommand: RunCommand): Promise<Nft> {
  const { default: koffi } = await import('koffi');
  const library = koffi.load('libnftables.so.1');
  const create = library.func('void *nft_ctx_new(uint32_t flags)');
  const free = library.func('void nft_ctx_free(void *ctx)');
  const bufferOutput = library.func('int nft_ctx_buffer_output(void *ctx)');
  const bufferError = library.func('int nft_ctx_buffer_error(void *ctx)');
  const output = library.func('const char *nft_ctx_get_output_buffer(void *ctx)');
  const errors = library.func('const char *nft_ctx_get_error_buffer(void *ctx)');
  const setDryRun = library.func('void nft_ctx_set_dry_run(void *ctx, bool dry)');
  const runBuffer = library.func('int nft_run_cmd_from_buffer(void *ctx, const char *text)');

  let context: unknown = create(0);
  if (context === null) throw new NftError('libnftables: no context; is the process root?');
  bufferOutput(context);
  bufferError(context);

  /** Returns the complaint; undefined if it succeeded. */
  const call = async (text: string, dryRun: boolean): Promise<string | undefined> => {
    if (context === null) throw new NftError('libnftables: closed');
    checkNftText(text);
    setDryRun(context, dryRun);
    // An aborted transaction costs the kernel 10 ms and more: runs on another thread.
    const status: number = dryRun
      ? await new Promise((resolve, reject) => {
          runBuffer.async(context, text, (error: unknown, result: number) =>
            error === null || error === undefined ? resolve(result) : reject(error),
          );
        })
      : runBuffer(context, text);
    // Reading empties the buffers, which would grow otherwise.
    output(context);
    const complaint = String(errors(context) ?? '');
    return status === 0 ? undefined : complaint.trim() || 'failed';
  };
  // Keeps transactions in order even while a long one runs elsewhere.
  const queue = new SerialQueue();
  return {
    kind: 'libnftables',
    run: (text) =>
      queue.run(async () => {
        if (text.length > IN_PROCESS_LIMIT_CHARS) return nftTransaction(runCommand, text);
        const complaint = await call(text, false);
        if (complaint !== undefined) throw new NftError(`nft: ${complaint}`);
      }),
    check: (text) => queue.run(async () => (await call(text, true)) ?? ''),
    close() {
      void queue.run(async () => {
        if (context !== null) free(context);
        context = null;
      });
    },
  };
}
