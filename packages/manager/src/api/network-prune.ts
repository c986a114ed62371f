import { ApiError, Filters, type Network } from '@swarm/api';
import { momentOf } from '@swarm/http';

/** Most characters of the names that one node adds to the answer: they are a header of the forwarded request. */
const NAMES_LIMIT = 16 * 1024;
/** Go's durations: `1h30m`. */
const DURATION = /^(?:\d+(?:\.\d+)?(?:h|m|s|ms))+$/;
const UNIT_MS: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1000, ms: 1 };

/**
 * Reads the filters of `POST /networks/prune`: `label`, `label!`, and `until`, the time before which a network
 * was made.
 * @throws ApiError BAD_REQUEST
 */
export function pruneFilter(
  given: string | null,
  nowMs: number,
): (network: Pick<Network, 'Spec' | 'CreatedAt'>) => boolean {
  const filters = Filters.parse(given, ['label', 'label!', 'until']);
  const [until, second] = filters.values('until');
  if (second !== undefined)
    throw new ApiError('BAD_REQUEST', 'more than one until filter specified');
  const untilMs = until === undefined ? Number.POSITIVE_INFINITY : momentBefore(until, nowMs);
  return ({ Spec, CreatedAt }) =>
    Date.parse(CreatedAt) <= untilMs &&
    filters.labels('label', Spec.Labels) &&
    (!filters.has('label!') || !filters.labels('label!', Spec.Labels));
}

function momentBefore(text: string, nowMs: number): number {
  if (!DURATION.test(text))
    return momentOf(new URLSearchParams({ until: text }), 'until') ?? Number.POSITIVE_INFINITY;
  let ms = 0;
  for (const [, amount, unit] of text.matchAll(/(\d+(?:\.\d+)?)(h|ms|m|s)/g)) {
    ms += Number(amount) * (UNIT_MS[unit!] ?? 0);
  }
  return nowMs - ms;
}

/** The names in an engine's answer. */
export function prunedBy(answer: unknown): readonly string[] {
  const { NetworksDeleted: names } = (answer ?? {}) as { readonly NetworksDeleted?: unknown };
  return Array.isArray(names) ? names.filter((name) => typeof name === 'string') : [];
}

/** Names as printable ASCII; those that are too many are left out. */
export function writeNames(names: readonly string[]): string {
  let written = '';
  for (const name of names) {
    const next = `${written}${written === '' ? '' : ','}${encodeURIComponent(name)}`;
    if (next.length > NAMES_LIMIT) break;
    written = next;
  }
  return written;
}

export function readNames(written: string | undefined): readonly string[] {
  if (written === undefined || written === '') return [];
  return written.split(',').flatMap((name) => {
    try {
      return [decodeURIComponent(name)];
    } catch {
      return [];
    }
  });
}
