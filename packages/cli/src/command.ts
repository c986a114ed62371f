import type { ApiClient } from './client/api-client.js';
import type { SignalSource } from './interrupt.js';
import type { LocalNode } from './local-node.js';
import type { Output } from './output/output.js';

/** How a flag's value is written. A `list` may be given several times. */
export type FlagType = 'string' | 'boolean' | 'list' | 'number';

export interface Flag {
  readonly type: FlagType;
  readonly about: string;
  readonly short?: string;
  /** Shown in the help only; the parser fills in nothing. */
  readonly default?: string;
  /** What the help calls the value: `duration`, `bytes`; default: its type. */
  readonly value?: string;
  /** The only allowed values, which the shell completes. */
  readonly choices?: readonly string[];
  /** Heading in the help; default: `Options`. */
  readonly group?: string;
  /** What its values name, for completion. */
  readonly completes?: Completes;
}

/** What a word of the command line names; the shell completes it with what the daemon knows. */
export type Completes = 'network' | 'node' | 'service' | 'task' | 'service=' | 'file';

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

/** The standard input of the process, as far as we use it. */
export type Input = NodeJS.ReadableStream & { readonly isTTY?: boolean };

/** Everything a command may use. */
export interface CommandContext {
  readonly args: Arguments;
  readonly client: ApiClient;
  /** Loads the part that works on this host's own files; only the commands that need it call this. */
  readonly node: () => Promise<LocalNode>;
  readonly output: Output;
  readonly env: NodeJS.ProcessEnv;
  readonly uid: number;
  /** Where Ctrl-C arrives. */
  readonly signals: SignalSource;
  /** Where the user answers questions, if it is a terminal. */
  readonly input: Input;
}

/** A command line without `swarm`, as people type it, and what it does. */
export interface Example {
  readonly line: string;
  readonly about: string;
}

export interface Command {
  /** The words that name it: `['service', 'create']`. */
  readonly path: readonly string[];
  /** Positional part of the usage line: `[OPTIONS] IMAGE [COMMAND] [ARG...]`. */
  readonly usage: string;
  readonly about: string;
  readonly flags: Flags;
  /** Number of positionals: least, and most (default: no limit). */
  readonly least: number;
  readonly most?: number;
  /** Everything after the first positional belongs to it (for `service create IMAGE ARGS`). */
  readonly stopAtPositional?: boolean;
  /** Docker's flags that are not supported yet; the error names them. */
  readonly notYet?: readonly string[];
  /** What its positionals name, or the only words they may be; for completion. */
  readonly completes?: readonly Completes[] | { readonly words: readonly string[] };
  readonly examples?: readonly Example[];
  /** Exit code, 0 by default. */
  run(context: CommandContext): Promise<number | undefined>;
}

export { UsageError } from '@swarm/api/client';
