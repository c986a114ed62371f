import { SerialQueue } from '../latest.js';
import { CommandError, type RunCommand } from './command.js';
import { type Nft, NftError } from './nft.js';

/** {@link Nft} by one process a transaction: 7 to 20 ms each. The fall-back without koffi. */
export function nftCommand(run: RunCommand): Nft {
  const queue = new SerialQueue();
  const nft = (args: readonly string[], input?: string): Promise<string> =>
    queue.run(async () => {
      try {
        return await run('nft', args, input);
      } catch (error) {
        if (error instanceof CommandError) throw new NftError(error.message, { cause: error });
        throw error;
      }
    });
  return {
    kind: 'command',
    run: (text) => nft(['-f', '-'], text),
    listSkeleton: (table) => nft(['-s', '-t', 'list', 'table', 'ip', table]),
    close: () => {},
  };
}
