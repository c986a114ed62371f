/**
 * Places of a Maglev table (Eisenbud et al., 2016, section 3.4). A prime, so that every endpoint's walk visits
 * every place. About twenty times the endpoints of most services: an endpoint that goes moves few clients of
 * the others.
 */
export const MAGLEV_PLACES = 1021;

/** An endpoint of a table: what all nodes know it by, the id it has on this one, and its weight. */
export interface MaglevEndpoint {
  /** Distinct. */
  readonly name: string;
  readonly id: number;
  /** Not negative. */
  readonly weight: number;
}

/**
 * Assigns every place to an endpoint, by names and weights alone: nodes that know the same endpoints have the
 * same table, whatever came before. Endpoints take their turns by weight, each the next free place of its own
 * walk.
 * @param endpoints with a weight above 0; those beyond the number of places get none
 * @returns the id that each place leads to; empty without endpoints
 */
export function maglevTable(endpoints: readonly MaglevEndpoint[]): number[] {
  const walkers = endpoints
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
    .slice(0, MAGLEV_PLACES)
    .map(({ name, id, weight }) => ({
      id,
      weight,
      next: hash(name, OFFSET_SEED) % MAGLEV_PLACES,
      step: 1 + (hash(name, STEP_SEED) % (MAGLEV_PLACES - 1)),
      credit: 0,
    }));
  if (walkers.length === 0) return [];
  const heaviest = Math.max(...walkers.map(({ weight }) => weight));
  const places = new Array<number>(MAGLEV_PLACES).fill(-1);
  for (let left = MAGLEV_PLACES; left > 0; ) {
    for (const walker of walkers) {
      if (left === 0) break;
      walker.credit += heaviest === 0 ? 1 : walker.weight / heaviest;
      if (walker.credit < 1) continue;
      walker.credit -= 1;
      while (places[walker.next] !== -1) walker.next = (walker.next + walker.step) % MAGLEV_PLACES;
      places[walker.next] = walker.id;
      left -= 1;
    }
  }
  return places;
}

const OFFSET_SEED = 0x811c9dc5;
const STEP_SEED = 0x050c5d1f;

/** FNV-1a over the name, then mixed, since names differ in few characters. @returns 32 bits */
export function hash(name: string, seed: number): number {
  let value = seed;
  for (let i = 0; i < name.length; i++) {
    value ^= name.charCodeAt(i);
    value = Math.imul(value, 0x01000193);
  }
  value ^= value >>> 16;
  value = Math.imul(value, 0x85ebca6b);
  value ^= value >>> 13;
  value = Math.imul(value, 0xc2b2ae35);
  return (value ^ (value >>> 16)) >>> 0;
}
