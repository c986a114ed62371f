import type { Value } from './value.js';

/** The parts of a parsed template. `at` is an index into its source. */
export type Node =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'action'; readonly at: number; readonly pipe: Pipe }
  | Branch
  | {
      readonly kind: 'template';
      readonly at: number;
      readonly name: string;
      readonly pipe: Pipe | undefined;
    }
  | { readonly kind: 'break' | 'continue'; readonly at: number };

export interface Branch {
  readonly kind: 'if' | 'with' | 'range';
  readonly at: number;
  readonly pipe: Pipe;
  readonly body: readonly Node[];
  readonly otherwise: readonly Node[];
}

export interface Pipe {
  readonly at: number;
  /** With their `$`; two of a `range` are index and element. */
  readonly variables: readonly string[];
  /** Whether it sets variables that exist, with `=`, rather than new ones with `:=`. */
  readonly assigns: boolean;
  readonly commands: readonly Command[];
}

/** An operand, or a function or method with its arguments. */
export interface Command {
  readonly at: number;
  readonly operands: readonly Operand[];
}

export type Operand = { readonly at: number } & (
  | { readonly kind: 'dot' }
  | { readonly kind: 'nil' }
  | { readonly kind: 'constant'; readonly value: Value }
  | { readonly kind: 'function'; readonly name: string }
  | { readonly kind: 'variable'; readonly name: string }
  | { readonly kind: 'pipe'; readonly pipe: Pipe }
  /** `.A.B` (of dot), `$x.A`, `(pipeline).A`. */
  | {
      readonly kind: 'fields';
      readonly of: Operand;
      readonly fields: readonly { readonly name: string; readonly at: number }[];
    }
);

/** A template and the ones that it defines. */
export interface Tree {
  readonly source: string;
  readonly root: readonly Node[];
  readonly defined: ReadonlyMap<string, readonly Node[]>;
}
