import type { ApiClient } from './client/api-client.js';
import type { LocalNode } from './local-node.js';
import type { Output } from './output/output.js';

/** How a flag's value is written. A `list` may be given many times. */
export type FlagType = 'string' | 'boolean' | 'list' | 'number';

export interface Flag {
  readonly type: FlagType;
  readonly about: string;
  readonly short?: string;
  /** Shown in the help; only parsed when given. */
  readonly default?: string;
}

export type Flags = Readonly<Record<string, Flag>>;

/** What the user gave, by flag name; flags not given are absent. */
export interface Arguments {
  readonly positionals: readonly string[];
  string(name: string): string | undefined;
  boolean(name: string): boolean;
  list(name: string): readonly string[];
  number(name: string): number | undefined;
  has(name: string): boolean;
}

/** All that a command may touch. */
export interface CommandContext {
  readonly args: Arguments;
  readonly client: ApiClient;
  /** Loads what works on this host's own files; only the commands that do so call it. */
  readonly node: () => Promise<LocalNode>;
  readonly output: Output;
  readonly env: NodeJS.ProcessEnv;
  readonly uid: number;
}

export interface Command {
  /** Words that name it: `['service', 'create']`. */
  readonly path: readonly string[];
  /** Positional part of the usage line: `[OPTIONS] IMAGE [COMMAND] [ARG...]`. */
  readonly usage: string;
  readonly about: string;
  readonly flags: Flags;
  /** Positionals: least, and most (default: no limit). */
  readonly least: number;
  readonly most?: number;
  /** Everything after the first positional belongs to it (as for `service create IMAGE ARGS`). */
  readonly stopAtPositional?: boolean;
  /** Flags of Docker's that are not served yet: named in the error when given. */
  readonly notYet?: readonly string[];
  /** Exit code, 0 by default. */
  run(context: CommandContext): Promise<number | undefined>;
}

export { UsageError } from '@swarm/api';
