import type { Flag, Flags } from '../command.js';

/** Headings in the help of `service create` and `service update`, by the names of the flags below them. */
const GROUPS: readonly (readonly [string, RegExp])[] = [
  [
    'Container Options',
    /^((container-label|env|group|mount|sysctl)(-add|-rm)?|args|cap-.*|entrypoint|env-file|init|log-.*|read-only|stop-.*|tty|user|workdir)$/,
  ],
  [
    'Network Options',
    /^((publish|dns|dns-option|dns-search|host)(-add|-rm)?|endpoint-mode|hostname|allow|allow-rm)$/,
  ],
  ['Placement Options', /^((constraint|placement-pref)(-add|-rm)?|replicas-max-per-node)$/],
  ['Resource Options', /^((limit|reserve)-.*|ulimit(-add|-rm)?|oom-score-adj)$/],
  ['Health Check Options', /^(health-.*|no-healthcheck)$/],
  ['Restart Options', /^restart-/],
  ['Update Options', /^update-/],
  ['Rollback Options', /^rollback-/],
];

/** Headings in the order of the help. */
export const FLAG_GROUPS: readonly string[] = GROUPS.map(([heading]) => heading);

/** What the help calls the values, as in Docker's help. */
const VALUES: readonly (readonly [string, RegExp])[] = [
  ['duration', /-(delay|monitor|interval|timeout|period|window)$/],
  ['bytes', /-memory$/],
  ['decimal', /-(cpu|ratio)$/],
  ['uint', /^(replicas|max-concurrent|.*-(parallelism|max-attempts|pids|retries|max-per-node))$/],
  ['int', /^oom-score-adj$/],
  ['command', /^(args|entrypoint|health-cmd)$/],
];

/** The flags of a service with their headings and the kinds of their values. */
export function withHelp(flags: Flags): Flags {
  return Object.fromEntries(
    Object.entries(flags).map(([name, flag]): [string, Flag] => {
      const group = find(GROUPS, name);
      const value = flag.type === 'boolean' ? undefined : find(VALUES, name);
      return [
        name,
        {
          ...flag,
          ...(group === undefined ? {} : { group }),
          ...(value === undefined ? {} : { value }),
        },
      ];
    }),
  );
}

function find(table: readonly (readonly [string, RegExp])[], name: string): string | undefined {
  return table.find(([, names]) => names.test(name))?.[0];
}
