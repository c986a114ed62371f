import { UsageError } from '../command.js';
import type { ListFlag } from './list-change.js';
import { splitPair } from './values.js';

/** A list of texts that mean the same if they are equal after `normal`. */
export function textList(
  name: string,
  what: string,
  normal: (text: string) => string = (text) => text,
): ListFlag<string> {
  return {
    ...{ name, what, key: normal, same: () => true, show: (text: string) => text },
    find: (text, items) => items.filter((item) => normal(item) === normal(text)),
  };
}

/** One `key=value` of labels and sysctls. */
export type Pair = readonly [key: string, value: string];

/** Pairs by their key. `--NAME-rm` takes the key, or `key=value` for exactly that value. */
export function pairList(name: string, what: string): ListFlag<Pair> {
  return {
    ...{ name, what },
    key: ([key]) => key,
    same: (a, b) => a[1] === b[1],
    show: ([key, value]) => `${key}=${value}`,
    find(text, items) {
      const exact = items.filter(([key]) => key === text);
      if (exact.length > 0 || !text.includes('=')) return exact;
      const [wantedKey, wantedValue] = splitPair(text);
      return items.filter(([key, value]) => key === wantedKey && value === wantedValue);
    },
  };
}

/** Environment variables, `NAME=VALUE`. Values may be secret, so errors only show names. */
export const ENV: ListFlag<string> = {
  ...{ name: 'env', what: 'environment variable' },
  key: (item) => splitPair(item)[0],
  same: (a, b) => a === b,
  show: (item) => splitPair(item)[0],
  find(text, items) {
    const [name] = splitPair(text);
    const named = items.filter((item) => splitPair(item)[0] === name);
    if (!text.includes('=') || named.length === 0) return named;
    // Where a variable is set twice, the last one counts.
    if (named.at(-1) === text) return named;
    throw new UsageError(
      `--env-rm: ${name} has another value than the one given: use --env-rm ${name} to remove it whatever it is`,
    );
  },
};

/**
 * Placement constraints. Blanks around the operator mean nothing; neither does case, except in the name of
 * a label (as where constraints are matched).
 */
export const CONSTRAINT = textList('constraint', 'constraint', (text) => {
  const [, key, operator, value] = /^\s*(.*?)\s*(==|!=)\s*(.*?)\s*$/s.exec(text) ?? [];
  if (key === undefined || operator === undefined || value === undefined) return text.trim();
  return `${attribute(key)}${operator}${value.toLowerCase()}`;
});

/** An attribute of nodes in one spelling: `Node.Labels.Zone` is `node.labels.Zone`. */
export function attribute(name: string): string {
  const label = /^((?:node|engine)\.labels\.)(.*)$/is.exec(name.trim());
  return label === null ? name.trim().toLowerCase() : `${label[1]!.toLowerCase()}${label[2]!}`;
}

/** Capabilities with or without `CAP_`, in any case. */
export function capability(text: string): string {
  return text.toUpperCase().replace(/^CAP_/, '');
}
/** `--cap-add` and `--cap-drop`, which have no `-rm`: each takes out what the other put in. */
export const CAPABILITY = textList('cap', 'capability', capability);

export const GROUP = textList('group', 'group');
export const DNS = textList('dns', 'DNS server');
export const DNS_OPTION = textList('dns-option', 'DNS option');
/** Domains with or without the final dot, in any case. */
export const DNS_SEARCH = textList('dns-search', 'DNS search domain', (text) =>
  text.toLowerCase().replace(/(?<=.)\.$/, ''),
);
export const LABEL = pairList('label', 'label');
export const CONTAINER_LABEL = pairList('container-label', 'container label');
export const SYSCTL = pairList('sysctl', 'sysctl');
