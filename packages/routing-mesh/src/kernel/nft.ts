/** Writes nftables transactions into the network namespace it was opened in. Calls are serialised. */
export interface Nft {
  /** `libnftables` in this process, or `nft` as a command. */
  readonly kind: 'libnftables' | 'command';
  /**
   * Runs nft text as one transaction: all or nothing.
   * @throws NftError
   */
  run(text: string): Promise<void>;
  /** What would be wrong with a transaction; empty when it would be done. Changes nothing. */
  check(text: string): Promise<string>;
  close(): void;
}

/** nft refused a transaction; nothing of it holds. */
export class NftError extends Error {
  override readonly name = 'NftError';
}
