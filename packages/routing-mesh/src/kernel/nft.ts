/** Writes nftables transactions into the network namespace in which it was opened. Serialises calls. */
export interface Nft {
  /** `libnftables` in this process, or the command `nft`. */
  readonly kind: 'libnftables' | 'command';
  /**
   * Runs nft text as one transaction: all or nothing.
   * @throws NftError
   */
  run(text: string): Promise<void>;
  /** What would be wrong with a transaction; empty if it would succeed. Changes nothing. */
  check(text: string): Promise<string>;
  close(): void;
}

/** nft rejected a transaction; none of it took effect. */
export class NftError extends Error {
  override readonly name = 'NftError';
}
