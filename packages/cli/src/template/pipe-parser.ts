import { nearest } from '../line/nearest.js';
import { NESTING_LIMIT } from './limits.js';
import type { Token } from './lexer.js';
import { readCharacter, readNumber, readString } from './literals.js';
import type { Command, Operand, Pipe } from './nodes.js';
import type { TokenReader } from './token-reader.js';
import { boolValue, intValue, textValue, type Value } from './value.js';

const KEYWORDS = new Set([
  ...['block', 'break', 'continue', 'define', 'else', 'end', 'if', 'range', 'template', 'with'],
]);

/** Parses pipelines, and knows the variables that they may use. */
export class PipeParser {
  readonly #tokens: TokenReader;
  readonly #functions: ReadonlySet<string>;
  /** Variables in scope, with their `$`. */
  #variables: string[] = ['$'];
  #parentheses = 0;

  constructor(tokens: TokenReader, functions: ReadonlySet<string>) {
    this.#tokens = tokens;
    this.#functions = functions;
  }

  /** Parses a block: forgets the variables that it declares. */
  inScope<T>(parsed: () => T): T {
    const known = this.#variables.length;
    const result = parsed();
    this.#variables.length = known;
    return result;
  }

  /** Parses a template of its own, which sees none of the variables around it. */
  withoutVariables<T>(parsed: () => T): T {
    const outer = this.#variables;
    this.#variables = ['$'];
    const result = parsed();
    this.#variables = outer;
    return result;
  }

  /**
   * Parses `$x := command | command`, up to `}}` or `)`.
   * @param place what it belongs to, for errors
   * @param two whether it may declare two variables
   */
  pipe(place: string, two = false): Pipe {
    const { at } = this.#tokens.peek();
    const { variables, assigns } = this.#declarations(two);
    const commands: Command[] = [];
    for (;;) {
      commands.push(this.#command(place, commands.length));
      const next = this.#tokens.peek();
      if (next.kind === 'close' || this.#tokens.isSign(')')) break;
      if (!this.#tokens.isSign('|')) throw this.#tokens.expected('}}, | or an argument', next);
      this.#tokens.next();
    }
    if (!assigns) this.#variables.push(...variables);
    return { at, variables, assigns, commands };
  }

  #declarations(two: boolean): {
    readonly variables: readonly string[];
    readonly assigns: boolean;
  } {
    const first = this.#tokens.peek();
    if (first.kind !== 'variable') return { variables: [], assigns: false };
    const isPair = two && this.#tokens.isSign(',', 1) && this.#tokens.peek(2).kind === 'variable';
    const second = this.#tokens.peek(2);
    const names = isPair ? [first, second] : [first];
    const sign = this.#tokens.peek(isPair ? 3 : 1);
    if (sign.kind !== 'sign' || (sign.text !== ':=' && sign.text !== '=')) {
      if (this.#tokens.isSign(',', 1))
        throw this.#tokens.fault(
          two
            ? 'expected two variables and := as in {{range $index, $element := …}}'
            : 'only {{range}} can declare two variables',
          this.#tokens.peek(1),
        );
      return { variables: [], assigns: false };
    }
    const assigns = sign.text === '=';
    for (const name of names) {
      if (assigns) this.#known(name);
      if (!assigns && name.text === '$')
        throw this.#tokens.fault('$ is the object itself: give the variable a name', name);
    }
    for (let count = isPair ? 4 : 2; count > 0; count -= 1) this.#tokens.next();
    return { variables: names.map(({ text }) => text), assigns };
  }

  #command(place: string, stage: number): Command {
    const first = this.#tokens.peek();
    const operands: Operand[] = [];
    for (;;) {
      const token = this.#tokens.peek();
      if (token.kind === 'close' || this.#tokens.isSign('|') || this.#tokens.isSign(')')) break;
      if (operands.length > 0 && !token.spaced)
        throw this.#tokens.fault(`expected a space before '${token.text}'`, token);
      operands.push(this.#operand(place));
    }
    const [head] = operands;
    if (head === undefined)
      throw this.#tokens.expected(
        stage === 0 ? `a value for ${place}` : 'a command after |',
        first,
      );
    if (head.kind === 'nil') throw this.#tokens.fault('nil is not a command', head);
    if (stage > 0 && (head.kind === 'constant' || head.kind === 'dot'))
      throw this.#tokens.fault(
        `'${first.text}' cannot take the value before |: expected a function`,
        head,
      );
    return { at: first.at, operands };
  }

  #operand(place: string): Operand {
    const token = this.#tokens.peek();
    const { at } = token;
    let operand: Operand = this.#term(place);
    const fields: { name: string; at: number }[] = [];
    if (token.kind === 'field') fields.push({ name: token.text.slice(1), at });
    for (;;) {
      const next = this.#tokens.peek();
      if (next.kind !== 'field' || next.spaced) break;
      if (operand.kind === 'constant' || operand.kind === 'nil')
        throw this.#tokens.fault(`'${token.text}' has no fields`, next);
      this.#tokens.next();
      fields.push({ name: next.text.slice(1), at: next.at });
    }
    if (fields.length > 0) operand = { kind: 'fields', at, of: operand, fields };
    return operand;
  }

  /** An operand without the fields after it. */
  #term(place: string): Operand {
    const token = this.#tokens.next();
    const { at, text } = token;
    switch (token.kind) {
      case 'dot':
      case 'field':
        return { kind: 'dot', at };
      case 'variable':
        this.#known(token);
        return { kind: 'variable', at, name: text };
      case 'string':
        return this.#constant(token, () => textValue(readString(text)));
      case 'character':
        return this.#constant(token, () => intValue(readCharacter(text)));
      case 'number':
        return this.#constant(token, () => readNumber(text));
      case 'identifier':
        return this.#word(token, place);
      default:
        if (token.kind !== 'sign' || text !== '(')
          throw this.#tokens.expected(`a value for ${place}`, token);
        return { kind: 'pipe', at, pipe: this.#parenthesized(token) };
    }
  }

  #parenthesized(open: Token): Pipe {
    if (this.#parentheses === NESTING_LIMIT)
      throw this.#tokens.fault(`parentheses are nested more than ${NESTING_LIMIT} deep`, open);
    this.#parentheses += 1;
    const pipe = this.pipe('the parentheses');
    this.#parentheses -= 1;
    const end = this.#tokens.next();
    if (end.kind !== 'sign' || end.text !== ')') throw this.#tokens.expected(')', end);
    return pipe;
  }

  #word(token: Token, place: string): Operand {
    const { at, text } = token;
    if (text === 'true' || text === 'false')
      return { kind: 'constant', at, value: boolValue(text === 'true') };
    if (text === 'nil') return { kind: 'nil', at };
    if (KEYWORDS.has(text)) throw this.#tokens.expected(`a value for ${place}`, token);
    if (this.#functions.has(text)) return { kind: 'function', at, name: text };
    const [likely] = nearest(text, [...this.#functions], text.length <= 4 ? 1 : 2);
    const hint =
      likely === undefined
        ? `a field is written .${text}, a string "${text}"`
        : `did you mean ${likely}?`;
    throw this.#tokens.fault(`function '${text}' does not exist: ${hint}`, token);
  }

  #constant(token: Token, read: () => Value): Operand {
    return { kind: 'constant', at: token.at, value: this.#tokens.reading(token, read) };
  }

  #known(token: Token): void {
    if (!this.#variables.includes(token.text))
      throw this.#tokens.fault(
        `variable '${token.text}' does not exist: declare it with {{${token.text} := …}}`,
        token,
      );
  }
}
