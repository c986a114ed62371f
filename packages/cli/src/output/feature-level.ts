/** `Swarm.FeatureLevel` of `GET /info`; a worker knows the first field only. */
export interface FeatureLevel {
  readonly Current: number;
  readonly Highest?: number;
  readonly WaitsFor?: readonly {
    readonly NodeID: string;
    readonly Hostname: string;
    readonly Newest?: number;
  }[];
}

/** The level, and what it waits for: `1 (can rise to 2 when m3 is upgraded: it can 1)`. */
export function featureLevelLine({ Current, Highest, WaitsFor = [] }: FeatureLevel): string {
  if (Highest === undefined) return `${Current}`;
  if (Highest <= Current) return `${Current} (all managers can ${Current})`;
  if (WaitsFor.length === 0) return `${Current} (rises to ${Highest} in a moment)`;
  const named = WaitsFor.map(({ NodeID, Hostname, Newest }) => ({
    name: Hostname === '' ? NodeID : Hostname,
    can: Newest === undefined ? 'has not said what it can' : `can ${Newest}`,
  }));
  const [only] = named;
  const which =
    named.length === 1
      ? `${only!.name} is upgraded: it ${only!.can}`
      : `these managers are upgraded: ${named.map(({ name, can }) => `${name} (${can})`).join(', ')}`;
  return `${Current} (can rise to ${Highest} when ${which})`;
}
