import type { Field } from './field.js';

/** A value that a rule computes. */
export type Expression =
  | { readonly kind: 'fields'; readonly fields: readonly Field[] }
  | { readonly kind: 'map'; readonly key: readonly Field[]; readonly map: string }
  | { readonly kind: 'literal'; readonly text: string }
  /** One of `count` numbers from `first`, by chance, or by a hash of what `by` reads. */
  | { readonly kind: 'draw'; readonly count: number; readonly first: number; readonly by?: Hash };

export interface Hash {
  readonly field: Field;
  readonly seed: number;
}

/** What a field is compared with. */
export type Wanted =
  | { readonly kind: 'set'; readonly set: string }
  /** Any of these: values, `10.0.0.0/8`, `1-5`, `swt*`. */
  | { readonly kind: 'any'; readonly values: readonly string[] };

export interface Match {
  readonly kind: 'match';
  readonly fields: readonly Field[];
  /** `tcp flags & (rst|fin|syn)`, `ct mark & 0xfff00000`: looks only at these. */
  readonly mask?: string;
  readonly isNegated: boolean;
  readonly wanted: Wanted;
}

export type Statement =
  | Match
  | { readonly kind: 'set'; readonly what: 'mark' | 'ct mark' | 'zone'; readonly to: Expression }
  /** What follows is for clients beyond a limit; the tracer's packet is of one within. */
  | { readonly kind: 'limit'; readonly set: string; readonly key: readonly Field[] }
  /** The map's values are verdicts. */
  | { readonly kind: 'vmap'; readonly key: readonly Field[]; readonly map: string }
  | { readonly kind: 'remember'; readonly set: string; readonly key: readonly Field[] }
  | { readonly kind: 'timeout'; readonly name: string }
  /** Changes nothing that rules look at. */
  | { readonly kind: 'clamp' }
  | { readonly kind: 'jump' | 'goto'; readonly chain: string }
  | { readonly kind: 'return' | 'accept' | 'drop' | 'masquerade' }
  | { readonly kind: 'reject'; readonly answer: string }
  | { readonly kind: 'dnat' | 'snat'; readonly to: Expression };

export interface Rule {
  /** As written. */
  readonly text: string;
  readonly statements: readonly Statement[];
}

export interface Hook {
  readonly type: 'filter' | 'nat' | 'route';
  readonly name: 'prerouting' | 'input' | 'forward' | 'output' | 'postrouting';
  readonly priority: number;
}

export interface Chain {
  readonly name: string;
  /** Absent for those that only rules lead to. */
  readonly hook?: Hook;
  readonly rules: readonly Rule[];
}
