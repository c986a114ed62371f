import { SerialQueue } from '@swarm/api';
import { CommandError, type RunCommand } from './command.js';
import { type Nft, NftError } from './nft.js';

/** {@link Nft} with one process per transaction: 7 to 20 ms each. The fallback without koffi. */
export function nftCommand(run: RunCommand): Nft {
  const queue = new SerialQueue();
  return {
    kind: 'command',
    run: (text) => queue.run(() => nftTransaction(run, text)),
    check: (text) =>
      queue.run(async () => {
        try {
          await run('nft', ['-c', '-f', '-'], text);
          return '';
        } catch (error) {
          if (error instanceof CommandError && error.code === undefined) return error.stderr;
          throw error;
        }
      }),
    close: () => {},
  };
}

/** Runs one transaction in its own process. */
export async function nftTransaction(run: RunCommand, text: string): Promise<void> {
  try {
    await run('nft', ['-f', '-'], text);
  } catch (error) {
    if (error instanceof CommandError) throw new NftError(error.message, { cause: error });
    throw error;
  }
}
