import { placeOf, placeText } from './template-error.js';

/** The kinds of token. `end` is the end of the template, `error` stands for text that no token matches. */
export type TokenKind =
  | 'text'
  | 'open'
  | 'close'
  | 'identifier'
  | 'field'
  | 'variable'
  | 'dot'
  | 'string'
  | 'character'
  | 'number'
  | 'sign'
  | 'error'
  | 'end';

export interface Token {
  readonly kind: TokenKind;
  /** As written; of an error, what is wrong. */
  readonly text: string;
  /** Index into the template. */
  readonly at: number;
  /** Whether space comes before it: `.A .B` are two operands, `.A.B` is one. */
  readonly spaced: boolean;
}

/** How to read a source. */
export interface Reading {
  /** Whether `\\t` and `\\n` outside of actions are a tab and a line feed. */
  readonly escapes: boolean;
  /** Index at which the template begins. */
  readonly start: number;
}

const COMMENT = /\{\{(?:-\s+)?\/\*[\s\S]*?\*\/(?:\s+-)?\}\}/y;
const OPEN_TRIM = /\{\{-(?=\s)/y;
const CLOSE_TRIM = /\s-\}\}/y;
const SPACE = /\s+/y;
const WORD = String.raw`[\p{L}\p{Nd}_]+`;

/** Tried in this order. */
const TOKENS: readonly (readonly [TokenKind, RegExp])[] = [
  ['string', /"(?:[^"\\\n]|\\[^\n])*"|`[^`]*`/y],
  ['character', /'(?:[^'\\\n]|\\[^\n])*'/y],
  ['number', /[+-]?(?:\d|\.\d)(?:[eEpP][+-]|[\w.])*/y],
  ['field', new RegExp(`\\.${WORD}`, 'uy')],
  ['variable', new RegExp(`\\$(?:${WORD})?`, 'uy')],
  ['dot', /\./y],
  ['identifier', new RegExp(WORD, 'uy')],
  ['sign', /:=|[|,=()]/y],
];

/** What may follow a name or a constant. */
const TERMINATOR = /\s|[.,|:)(=]|\}\}|$/y;
const TERMINATED: readonly TokenKind[] = ['field', 'variable', 'identifier', 'dot', 'number'];
const UNFINISHED: Readonly<Record<string, string>> = {
  '"': 'expected " to end the string',
  '`': 'expected ` to end the string',
  "'": "expected ' to end the character",
};

/**
 * Splits a template into tokens, with trim markers applied and comments left out.
 */
export function tokenize(source: string, { escapes, start }: Reading): readonly Token[] {
  const tokens: Token[] = [];
  let at = start;
  let trimmed = false;
  while (at < source.length) {
    const open = source.indexOf('{{', at);
    const textEnd = open === -1 ? source.length : open;
    const trimNext = open !== -1 && matchAt(OPEN_TRIM, source, open) !== undefined;
    let text = source.slice(at, textEnd);
    if (escapes) text = text.replaceAll('\\t', '\t').replaceAll('\\n', '\n');
    if (trimmed) text = text.trimStart();
    if (trimNext) text = text.trimEnd();
    if (text !== '') tokens.push({ kind: 'text', text, at, spaced: false });
    if (open === -1) break;
    const comment = matchAt(COMMENT, source, open);
    if (comment !== undefined) {
      trimmed = /\s-\}\}$/.test(comment);
      at = open + comment.length;
      continue;
    }
    const action = tokenizeAction(source, open, open + (trimNext ? 3 : 2));
    tokens.push(...action.tokens);
    if (action.end === undefined) return tokens;
    trimmed = action.trims;
    at = action.end;
  }
  tokens.push({ kind: 'end', text: '', at: source.length, spaced: false });
  return tokens;
}

interface Action {
  readonly tokens: readonly Token[];
  /** Index after it; undefined after an error. */
  readonly end: number | undefined;
  readonly trims: boolean;
}

function tokenizeAction(source: string, open: number, start: number): Action {
  const tokens: Token[] = [{ kind: 'open', text: '{{', at: open, spaced: false }];
  const failed = (text: string, index: number): Action => {
    tokens.push({ kind: 'error', text, at: index, spaced: false });
    return { tokens, end: undefined, trims: false };
  };
  if (/^\s*\/\*/.test(source.slice(start)))
    return failed('a comment begins with {{/* and ends with */}}', open);
  let at = start;
  while (at < source.length) {
    const trims = matchAt(CLOSE_TRIM, source, at) !== undefined;
    const space = trims ? source[at]! : (matchAt(SPACE, source, at) ?? '');
    if (
      !trims &&
      space !== '' &&
      matchAt(CLOSE_TRIM, source, at + space.length - 1) !== undefined
    ) {
      at += space.length - 1;
      continue;
    }
    at += space.length;
    const spaced = space !== '' || tokens.length === 1;
    if (trims || source.startsWith('}}', at)) {
      const text = trims ? '-}}' : '}}';
      tokens.push({ kind: 'close', text, at, spaced });
      return { tokens, end: at + text.length, trims };
    }
    if (at === source.length) break;
    const token = tokenAt(source, at, spaced);
    if (token.kind === 'error') return failed(token.text, token.at);
    tokens.push(token);
    at += token.text.length;
  }
  const begin = placeText(placeOf(source, open));
  return failed(`expected }} to close the action that begins at ${begin}`, source.length);
}

function tokenAt(source: string, at: number, spaced: boolean): Token {
  for (const [kind, pattern] of TOKENS) {
    const text = matchAt(pattern, source, at);
    if (text === undefined) continue;
    const end = at + text.length;
    if (TERMINATED.includes(kind) && matchAt(TERMINATOR, source, end) === undefined) {
      const found = String.fromCodePoint(source.codePointAt(end)!);
      return error(`unexpected '${found}' after '${text}'`, end);
    }
    return { kind, text, at, spaced };
  }
  const character = String.fromCodePoint(source.codePointAt(at)!);
  return error(UNFINISHED[character] ?? `unexpected '${character}'`, at);
}

function error(text: string, at: number): Token {
  return { kind: 'error', text, at, spaced: false };
}

function matchAt(pattern: RegExp, source: string, at: number): string | undefined {
  pattern.lastIndex = at;
  return pattern.exec(source)?.[0];
}
