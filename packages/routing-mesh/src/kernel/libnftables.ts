import { SerialQueue } from '../latest.js';
import { type Nft, NftError } from './nft.js';

/** Longer texts run on another thread, so that the event loop is not held up. */
const SYNCHRONOUS_TEXT_LIMIT_CHARS = 16 * 1024;
/** `nft_ctx_output_set_flags`, libnftables(3). */
const NFT_CTX_OUTPUT_STATELESS = 1 << 2;
const NFT_CTX_OUTPUT_TERSE = 1 << 11;

/**
 * {@link Nft} by libnftables within this process: 0.1 ms a transaction instead of a process each.
 * The context's socket belongs to the network namespace of the moment it is opened in.
 * @throws when koffi or the library is not there
 */
export async function openLibnftables(): Promise<Nft> {
  const { default: koffi } = await import('koffi');
  const library = koffi.load('libnftables.so.1');
  const create = library.func('void *nft_ctx_new(uint32_t flags)');
  const free = library.func('void nft_ctx_free(void *ctx)');
  const bufferOutput = library.func('int nft_ctx_buffer_output(void *ctx)');
  const bufferError = library.func('int nft_ctx_buffer_error(void *ctx)');
  const output = library.func('const char *nft_ctx_get_output_buffer(void *ctx)');
  const errors = library.func('const char *nft_ctx_get_error_buffer(void *ctx)');
  const setFlags = library.func('void nft_ctx_output_set_flags(void *ctx, uint32_t flags)');
  const runBuffer = library.func('int nft_run_cmd_from_buffer(void *ctx, const char *text)');

  let context: unknown = create(0);
  if (context === null) throw new NftError('libnftables: no context; is the process root?');
  bufferOutput(context);
  bufferError(context);
  setFlags(context, NFT_CTX_OUTPUT_STATELESS | NFT_CTX_OUTPUT_TERSE);

  // The context is not safe for two threads; the queue keeps calls apart also while one is elsewhere.
  const queue = new SerialQueue();
  const call = async (text: string): Promise<string> => {
    if (context === null) throw new NftError('libnftables: closed');
    const status: number =
      text.length <= SYNCHRONOUS_TEXT_LIMIT_CHARS
        ? runBuffer(context, text)
        : await new Promise((resolve, reject) => {
            runBuffer.async(context, text, (error: unknown, result: number) =>
              error === null || error === undefined ? resolve(result) : reject(error),
            );
          });
    const printed = String(output(context) ?? '');
    const complaint = String(errors(context) ?? '');
    if (status !== 0) throw new NftError(`nft: ${complaint.trim()}`);
    return printed;
  };
  return {
    kind: 'libnftables',
    run: (text) => queue.run(() => call(text)),
    listSkeleton: (table) => queue.run(() => call(`list table ip ${table}`)),
    close() {
      void queue.run(async () => {
        if (context !== null) free(context);
        context = null;
      });
    },
  };
}
