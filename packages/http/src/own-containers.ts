import { ApiError, OWNER_LABEL, ROLE_LABEL, SANDBOX_ROLE, SPARE_PREFIX } from '@swarm/api';

/**
 * What clients of the engine do not see: the containers that only hold a network namespace for tasks. Whoever
 * filters by one of our labels sees everything that the filter matches.
 */

/** Ids of sandboxes whose events are hidden; the oldest are forgotten. */
const SANDBOXES_REMEMBERED = 1_024;

type Labels = Readonly<Record<string, unknown>>;
type Filters = Readonly<Record<string, unknown>>;

/** Sandboxes of an engine, by what they are for. */
export interface OwnContainers {
  /** Those that hold the network of tasks. */
  readonly sandboxes: number;
  /** Those that wait for a task. */
  readonly spares: number;
}

/** Whether the filters name one of our labels, so that the client wants to see what is ours. */
export function asksForOwn(query: URLSearchParams): boolean {
  const wanted = valuesOf(filtersOf(query)?.label);
  return wanted.some((value) => [OWNER_LABEL, ROLE_LABEL].includes(value.split('=', 1)[0]!));
}

/** A list of the engine's containers without sandboxes. Returns anything else unchanged. */
export function withoutSandboxes(containers: unknown): unknown {
  return Array.isArray(containers) ? containers.filter((one) => !isSandbox(one)) : containers;
}

/** The answer of `GET /system/df` without sandboxes. Returns anything else unchanged. */
export function usageWithoutSandboxes(usage: unknown): unknown {
  if (!Array.isArray(fieldOf(usage, 'Containers'))) return usage;
  return {
    ...(usage as object),
    Containers: withoutSandboxes(fieldOf(usage, 'Containers')),
  };
}

/** Counts the sandboxes in a list of containers, and how many containers of each state they are. */
export function countOwn(containers: unknown): OwnContainers & { readonly running: number } {
  const own = Array.isArray(containers) ? containers.filter(isSandbox) : [];
  const spares = own.filter(isSpare).length;
  const running = own.filter((one) => fieldOf(one, 'State') === 'running').length;
  return { sandboxes: own.length - spares, spares, running };
}

/**
 * The query of a prune that leaves the containers of our runtime alone: what is prepared, and the logs of
 * what has ended, belong to tasks, which the managers remove.
 * @throws ApiError FAILED_PRECONDITION with a filter `label!`: the engine would only spare what has all of the
 *   labels
 */
export function sparingPrune(query: URLSearchParams): URLSearchParams {
  const given = query.get('filters');
  const filters = given === null || given === '' ? {} : filtersOf(query);
  // The engine refuses filters that cannot be read.
  if (filters === undefined) return query;
  if (valuesOf(filters['label!']).length > 0) {
    throw new ApiError(
      'FAILED_PRECONDITION',
      'the filter "label!" cannot be used here, because containers of the cluster must stay: prune by ' +
        '"label" or "until", or use the socket of the Docker Engine itself',
    );
  }
  const changed = new URLSearchParams(query);
  changed.set('filters', JSON.stringify({ ...filters, 'label!': { [ROLE_LABEL]: true } }));
  return changed;
}

/** Tells events of sandboxes from those of other containers. */
export class SandboxEvents {
  readonly #ids = new Set<string>();

  /** @param containers a list of the engine's containers, or of sandboxes only */
  constructor(containers: unknown) {
    for (const one of Array.isArray(containers) ? containers : []) {
      const id = fieldOf(one, 'Id');
      if (isSandbox(one) && typeof id === 'string') this.#remember(id);
    }
  }

  /** Whether the event is about a sandbox: of the container itself, or of a network that it joins. */
  has(event: EngineEvent): boolean {
    const { ID: id, Attributes: attributes } = event.Actor ?? {};
    if (event.Type === 'container' && attributes?.[ROLE_LABEL] === SANDBOX_ROLE) {
      if (id !== undefined) this.#remember(id);
      return true;
    }
    return event.Type === 'network' && this.#ids.has(String(attributes?.container));
  }

  #remember(id: string): void {
    this.#ids.delete(id);
    this.#ids.add(id);
    if (this.#ids.size <= SANDBOXES_REMEMBERED) return;
    for (const oldest of this.#ids) {
      this.#ids.delete(oldest);
      return;
    }
  }
}

/** The part of an engine's event that we read. */
export interface EngineEvent {
  readonly Type?: string;
  readonly Actor?: { readonly ID?: string; readonly Attributes?: Labels };
  readonly timeNano?: number;
}

function isSandbox(container: unknown): boolean {
  const labels = fieldOf(container, 'Labels') as Labels | null | undefined;
  return labels?.[ROLE_LABEL] === SANDBOX_ROLE;
}

function isSpare(container: unknown): boolean {
  return valuesOf(fieldOf(container, 'Names')).some((name) => name.startsWith(`/${SPARE_PREFIX}`));
}

function fieldOf(value: unknown, name: string): unknown {
  return (value as Readonly<Record<string, unknown>> | null)?.[name];
}

/** Undefined when there are none, or none that can be read. */
function filtersOf(query: URLSearchParams): Filters | undefined {
  try {
    const filters: unknown = JSON.parse(query.get('filters') ?? '');
    return typeof filters === 'object' && filters !== null ? (filters as Filters) : undefined;
  } catch {
    return undefined;
  }
}

/** Both of Docker's forms: `{"a":true}`, and the older `["a"]`. */
function valuesOf(values: unknown): readonly string[] {
  if (Array.isArray(values)) return values.map(String);
  return typeof values === 'object' && values !== null ? Object.keys(values) : [];
}
