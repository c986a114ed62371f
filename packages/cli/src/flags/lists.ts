import type { Placement } from '@swarm/api';
import { UsageError } from '../command.js';
import { splitPair } from './values.js';

/** Converts `HOST:IP` of `--host` to a line of /etc/hosts (`IP HOST`). */
export function hostLine(text: string): string {
  const at = text.indexOf(':');
  if (at <= 0 || at === text.length - 1)
    throw new UsageError(`bad format for --host: '${text}': use HOST:IP`);
  return `${text.slice(at + 1)} ${text.slice(0, at)}`;
}

/** `NAME=SOFT[:HARD]`. */
export function parseUlimit(text: string): { Name: string; Soft: number; Hard: number } {
  const match = /^([a-z]+)=(-?\d+)(?::(-?\d+))?$/.exec(text);
  if (match === null)
    throw new UsageError(`invalid argument '${text}' for --ulimit: use NAME=SOFT[:HARD]`);
  const Soft = Number(match[2]);
  return { Name: match[1]!, Soft, Hard: match[3] === undefined ? Soft : Number(match[3]) };
}

/** `spread=node.labels.X`. */
export function parsePreference(text: string): NonNullable<Placement['Preferences']>[number] {
  const [strategy, descriptor] = splitPair(text);
  if (strategy !== 'spread' || descriptor === '') {
    throw new UsageError(
      `invalid argument '${text}' for --placement-pref: use spread=node.labels.X or spread=engine.labels.X`,
    );
  }
  return { Spread: { SpreadDescriptor: descriptor } };
}

/** Environment: `NAME=VALUE`; a bare `NAME` takes its value from this process, or is omitted. */
export function environment(items: readonly string[], env: NodeJS.ProcessEnv): string[] {
  return items.flatMap((item) => {
    if (item === '' || item.startsWith('='))
      throw new UsageError(`invalid environment variable '${item}': use NAME=VALUE`);
    if (item.includes('=')) return [item];
    const value = env[item];
    return value === undefined ? [] : [`${item}=${value}`];
  });
}

/** Sets a field that was given. */
export function assign<T, K extends keyof T>(target: T, field: K, value: T[K] | undefined): void {
  if (value !== undefined) target[field] = value;
}
