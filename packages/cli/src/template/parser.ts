import { NESTING_LIMIT } from './limits.js';
import { type Reading, type Token, tokenize } from './lexer.js';
import { readString } from './literals.js';
import type { Branch, Node, Tree } from './nodes.js';
import { PipeParser } from './pipe-parser.js';
import { placeOf, placeText, TemplateError } from './template-error.js';
import { TokenReader } from './token-reader.js';

/** What ends a list of nodes. */
interface End {
  readonly word: 'end' | 'else';
  readonly token: Token;
}

/**
 * Parses a template.
 * @param functions names of the functions it may call
 * @throws {TemplateError} with the place
 */
export function parse(source: string, functions: ReadonlySet<string>, reading: Reading): Tree {
  return new TemplateParser(source, functions, reading).parse();
}

/** Recursive descent over actions: blocks, and the templates they define. */
class TemplateParser {
  readonly #source: string;
  readonly #tokens: TokenReader;
  readonly #pipes: PipeParser;
  readonly #defined = new Map<string, readonly Node[]>();
  /** Blocks around the current position. */
  #nesting = 0;
  /** Of them, the ones that `break` and `continue` can mean. */
  #ranges = 0;

  constructor(source: string, functions: ReadonlySet<string>, reading: Reading) {
    this.#source = source;
    this.#tokens = new TokenReader(source, tokenize(source, reading));
    this.#pipes = new PipeParser(this.#tokens, functions);
  }

  parse(): Tree {
    const { nodes, end } = this.#list(true);
    if (end !== undefined)
      throw this.#tokens.fault(`{{${end.word}}} has no block that it belongs to`, end.token);
    return { source: this.#source, root: nodes, defined: this.#defined };
  }

  #list(top = false): { readonly nodes: readonly Node[]; readonly end: End | undefined } {
    const nodes: Node[] = [];
    for (;;) {
      const token = this.#tokens.next();
      if (token.kind === 'end') return { nodes, end: undefined };
      if (token.kind === 'text') {
        nodes.push({ kind: 'text', text: token.text });
        continue;
      }
      const word = this.#tokens.peek();
      if (word.kind === 'identifier' && (word.text === 'end' || word.text === 'else')) {
        this.#tokens.next();
        if (word.text === 'end') this.#tokens.close('{{end}}');
        return { nodes, end: { word: word.text, token: word } };
      }
      if (word.kind === 'identifier' && word.text === 'define') {
        if (!top) throw this.#tokens.fault('{{define}} must not be inside of a block', word);
        this.#define(token);
        continue;
      }
      nodes.push(this.#action(token));
    }
  }

  #action(open: Token): Node {
    const word = this.#tokens.peek();
    if (word.kind === 'identifier') {
      switch (word.text) {
        case 'if':
        case 'with':
        case 'range':
          this.#tokens.next();
          return this.#branch(word.text, open, word);
        case 'template':
          this.#tokens.next();
          return this.#template(word);
        case 'block':
          this.#tokens.next();
          return this.#block(open, word);
        case 'break':
        case 'continue':
          this.#tokens.next();
          this.#tokens.close(`{{${word.text}}}`);
          if (this.#ranges === 0)
            throw this.#tokens.fault(`{{${word.text}}} must be inside of a {{range}}`, word);
          return { kind: word.text, at: word.at };
      }
    }
    const pipe = this.#pipes.pipe('a command');
    this.#tokens.close('the action');
    return { kind: 'action', at: pipe.at, pipe };
  }

  #branch(kind: Branch['kind'], open: Token, word: Token): Branch {
    return this.#inScope(open, () => {
      const pipe = this.#pipes.pipe(`{{${kind}}}`, kind === 'range');
      this.#tokens.close(`{{${kind}}}`);
      if (kind === 'range') this.#ranges += 1;
      const { nodes: body, end } = this.#list();
      if (kind === 'range') this.#ranges -= 1;
      if (end === undefined) throw this.#unclosed(kind, open);
      if (end.word === 'end') return { kind, at: word.at, pipe, body, otherwise: [] };
      return { kind, at: word.at, pipe, body, otherwise: this.#else(kind, open) };
    });
  }

  /** What follows `else`: `}}` and nodes up to `end`, or an `if` or `with` that shares the `end`. */
  #else(kind: Branch['kind'], open: Token): readonly Node[] {
    const word = this.#tokens.peek();
    if (word.kind === 'identifier' && kind !== 'range' && word.text === kind) {
      this.#tokens.next();
      return [this.#branch(kind, open, word)];
    }
    this.#tokens.close('{{else}}');
    const { nodes, end } = this.#list();
    if (end === undefined) throw this.#unclosed(kind, open);
    if (end.word === 'else')
      throw this.#tokens.fault(`expected {{end}}: {{${kind}}} already has an {{else}}`, end.token);
    return nodes;
  }

  #template(word: Token): Node {
    const name = this.#name('template');
    const pipe =
      this.#tokens.peek().kind === 'close' ? undefined : this.#pipes.pipe('{{template}}');
    this.#tokens.close('{{template}}');
    return { kind: 'template', at: word.at, name, pipe };
  }

  /** Defines a template and calls it in its place. */
  #block(open: Token, word: Token): Node {
    const name = this.#name('block');
    const pipe = this.#pipes.pipe('{{block}}');
    this.#tokens.close('{{block}}');
    this.#body('block', name, open);
    return { kind: 'template', at: word.at, name, pipe };
  }

  #define(open: Token): void {
    this.#tokens.next();
    const name = this.#name('define');
    this.#tokens.close('{{define}}');
    this.#body('define', name, open);
  }

  /** Its own variables, and no `range` around it. */
  #body(kind: 'block' | 'define', name: string, open: Token): void {
    const ranges = this.#ranges;
    this.#ranges = 0;
    const { nodes, end } = this.#pipes.withoutVariables(() =>
      this.#inScope(open, () => this.#list()),
    );
    this.#ranges = ranges;
    if (end === undefined) throw this.#unclosed(kind, open);
    if (end.word === 'else')
      throw this.#tokens.fault(`{{${kind}}} must not have an {{else}}`, end.token);
    const known = this.#defined.get(name);
    if (known !== undefined && !isEmpty(known) && !isEmpty(nodes))
      throw this.#tokens.fault(`template "${name}" is defined twice`, open);
    if (known === undefined || isEmpty(known)) this.#defined.set(name, nodes);
  }

  #name(kind: string): string {
    const token = this.#tokens.next();
    if (token.kind !== 'string')
      throw this.#tokens.expected(`a name in quotes after ${kind}`, token);
    return this.#tokens.reading(token, () => readString(token.text));
  }

  #inScope<T>(open: Token, parsed: () => T): T {
    if (this.#nesting === NESTING_LIMIT)
      throw this.#tokens.fault(`blocks are nested more than ${NESTING_LIMIT} deep`, open);
    this.#nesting += 1;
    const result = this.#pipes.inScope(parsed);
    this.#nesting -= 1;
    return result;
  }

  #unclosed(kind: string, open: Token): TemplateError {
    const begin = placeText(placeOf(this.#source, open.at));
    return new TemplateError(
      `expected {{end}} for the {{${kind}}} at ${begin}`,
      placeOf(this.#source, this.#source.length),
    );
  }
}

/** Whether it has only white space. */
function isEmpty(nodes: readonly Node[]): boolean {
  return nodes.every((node) => node.kind === 'text' && node.text.trim() === '');
}
