/** Those that get connections: weight 0 means none, unless all have it. */
export function weighty<T extends { readonly weight: number }>(shares: readonly T[]): readonly T[] {
  const some = shares.filter(({ weight }) => weight > 0);
  return some.length > 0 ? some : shares;
}
