import { fieldOf } from './fields.js';
import type { Functions } from './functions/function.js';
import { DEPTH_LIMIT, STEP_LIMIT, TEXT_LIMIT } from './limits.js';
import type { Branch, Command, Node, Operand, Pipe, Tree } from './nodes.js';
import { actionText, type Show } from './print.js';
import { placeOf, TemplateError } from './template-error.js';
import { typeName } from './types.js';
import { elements, entries, indirect, intValue, isTrue, NOTHING, type Value } from './value.js';

/** How a list of nodes ended: at its end, or by what leaves a `range` or its iteration. */
type Flow = 'done' | 'break' | 'continue';

interface Variable {
  readonly name: string;
  value: Value;
}

/** One execution of a template. */
export class Execution {
  readonly #tree: Tree;
  readonly #functions: Functions;
  readonly #show: Show;
  #text = '';
  #steps = 0;
  #depth = 0;
  #variables: Variable[] = [];

  constructor(tree: Tree, functions: Functions, show: Show) {
    this.#tree = tree;
    this.#functions = functions;
    this.#show = show;
  }

  /** What was written so far, which after an error is a part. */
  get text(): string {
    return this.#text;
  }

  /** @throws {TemplateError} with the place */
  run(data: Value): void {
    this.#call(this.#tree.root, data);
  }

  #call(nodes: readonly Node[], dot: Value): void {
    const outer = this.#variables;
    this.#variables = [{ name: '$', value: dot }];
    this.#walkAll(nodes, dot);
    this.#variables = outer;
  }

  #walkAll(nodes: readonly Node[], dot: Value): Flow {
    this.#depth += 1;
    let flow: Flow = 'done';
    for (const node of nodes) {
      flow = this.#walk(node, dot);
      if (flow !== 'done') break;
    }
    this.#depth -= 1;
    return flow;
  }

  #walk(node: Node, dot: Value): Flow {
    switch (node.kind) {
      case 'text':
        this.#write(node.text, 0);
        return 'done';
      case 'action': {
        const value = this.#pipe(node.pipe, dot);
        if (node.pipe.variables.length > 0) return 'done';
        this.#write(
          this.#placed(node.at, () => actionText(value, this.#show)),
          node.at,
        );
        return 'done';
      }
      case 'template':
        this.#template(node, dot);
        return 'done';
      case 'break':
      case 'continue':
        return node.kind;
      default: {
        const known = this.#variables.length;
        const flow = node.kind === 'range' ? this.#range(node, dot) : this.#choice(node, dot);
        this.#variables.length = known;
        return flow;
      }
    }
  }

  #choice(node: Branch, dot: Value): Flow {
    const value = this.#pipe(node.pipe, dot);
    if (!isTrue(value)) return this.#walkAll(node.otherwise, dot);
    return this.#walkAll(node.body, node.kind === 'with' ? value : dot);
  }

  #range(node: Branch, dot: Value): Flow {
    const value = this.#pipe(node.pipe, dot);
    const known = this.#variables.length;
    let empty = true;
    for (const [index, element] of this.#iterations(value, node.pipe.at)) {
      empty = false;
      this.#step(node.at);
      const [first, second] = node.pipe.variables;
      if (first !== undefined) this.#set(first, second === undefined ? element : index);
      if (second !== undefined) this.#set(second, element);
      const flow = this.#walkAll(node.body, element);
      this.#variables.length = known;
      if (flow === 'break') break;
    }
    return empty ? this.#walkAll(node.otherwise, dot) : 'done';
  }

  *#iterations(value: Value, at: number): Iterable<readonly [Value, Value]> {
    const target = indirect(value) ?? NOTHING;
    switch (target.type.kind) {
      case 'nothing':
        return;
      case 'slice':
        for (const [index, element] of elements(target).entries()) yield [intValue(index), element];
        return;
      case 'map':
        yield* entries(target);
        return;
      case 'int':
        for (let index = 0; index < Number(target.data ?? 0); index += 1)
          yield [intValue(index), intValue(index)];
        return;
      default:
        throw this.#fault(
          `range needs a list, a map or an integer, found ${typeName(target.type)}`,
          at,
        );
    }
  }

  #template({ at, name, pipe }: Extract<Node, { kind: 'template' }>, dot: Value): void {
    const nodes = this.#tree.defined.get(name);
    if (nodes === undefined) throw this.#fault(`template "${name}" is not defined`, at);
    this.#step(at);
    this.#call(nodes, pipe === undefined ? NOTHING : this.#pipe(pipe, dot));
  }

  #pipe({ variables, assigns, commands }: Pipe, dot: Value): Value {
    let value: Value | undefined;
    for (const command of commands) value = this.#command(command, dot, value);
    for (const name of variables) {
      if (assigns) this.#set(name, value!);
      else this.#variables.push({ name, value: value! });
    }
    return value!;
  }

  /** @param final the value before the `|`, which is the last argument */
  #command({ operands, at }: Command, dot: Value, final: Value | undefined): Value {
    this.#step(at);
    const [head, ...rest] = operands as [Operand, ...Operand[]];
    if (head.kind === 'function') return this.#function(head, rest, dot, final);
    const args = rest.map((each) => this.#operand(each, dot));
    if (final !== undefined) args.push(final);
    if (head.kind === 'fields') return this.#fields(head, dot, args);
    if (args.length > 0)
      throw this.#fault(
        `'${this.#written(head)}' is not a function: it takes no arguments`,
        head.at,
      );
    return this.#operand(head, dot);
  }

  #operand(operand: Operand, dot: Value): Value {
    switch (operand.kind) {
      case 'dot':
        return dot;
      case 'nil':
        return NOTHING;
      case 'constant':
        return operand.value;
      case 'variable':
        return this.#variable(operand.name).value;
      case 'pipe':
        return this.#pipe(operand.pipe, dot);
      case 'fields':
        return this.#fields(operand, dot, []);
      case 'function':
        return this.#function(operand, [], dot, undefined);
    }
  }

  #fields(
    { of, at, fields }: Extract<Operand, { kind: 'fields' }>,
    dot: Value,
    args: readonly Value[],
  ): Value {
    let value = this.#operand(of, dot);
    fields.forEach((field, index) => {
      const end = field.at + field.name.length + 1;
      const path = this.#tree.source.slice(at, end);
      const last = index === fields.length - 1;
      value = this.#placed(field.at, () => fieldOf(value, field.name, last ? args : [], path));
    });
    return value;
  }

  #function(
    { name, at }: Extract<Operand, { kind: 'function' }>,
    operands: readonly Operand[],
    dot: Value,
    final: Value | undefined,
  ): Value {
    if (name === 'and' || name === 'or') return this.#logic(name, at, operands, dot, final);
    const called = this.#functions.get(name)!;
    const args = operands.map((each) => this.#operand(each, dot));
    if (final !== undefined) args.push(final);
    const { least, most = least } = called;
    if (args.length < least || args.length > most)
      throw this.#fault(`${name} takes ${countText(least, most)}, not ${args.length}`, at);
    return this.#placed(at, () => called.run(args, this.#show), name);
  }

  /** Evaluates arguments up to the one that decides. */
  #logic(
    name: 'and' | 'or',
    at: number,
    operands: readonly Operand[],
    dot: Value,
    final: Value | undefined,
  ): Value {
    let value: Value | undefined;
    for (const operand of operands) {
      value = this.#operand(operand, dot);
      if (isTrue(value) === (name === 'or')) return value;
    }
    const result = final ?? value;
    if (result === undefined) throw this.#fault(`${name} takes at least 1 argument, not 0`, at);
    return result;
  }

  #variable(name: string): Variable {
    // The parser has made sure that it exists.
    return this.#variables.findLast((each) => each.name === name)!;
  }

  #set(name: string, value: Value): void {
    this.#variable(name).value = value;
  }

  #write(text: string, at: number): void {
    this.#text += text;
    if (this.#text.length > TEXT_LIMIT)
      throw this.#fault(`the output is longer than ${TEXT_LIMIT} characters`, at);
  }

  #step(at: number): void {
    this.#steps += 1;
    if (this.#steps > STEP_LIMIT)
      throw this.#fault(`the template takes more than ${STEP_LIMIT} steps`, at);
    if (this.#depth > DEPTH_LIMIT)
      throw this.#fault(`more than ${DEPTH_LIMIT} deep: does a template call itself?`, at);
  }

  #placed<T>(at: number, run: () => T, name?: string): T {
    try {
      return run();
    } catch (error) {
      // Of a string of JavaScript's greatest length, or of the stack.
      if (error instanceof RangeError)
        throw this.#fault('the value is too long, or nested too deep', at);
      if (!(error instanceof TemplateError) || error.place !== undefined) throw error;
      throw this.#fault(name === undefined ? error.problem : `${name}: ${error.problem}`, at);
    }
  }

  #fault(problem: string, at: number): TemplateError {
    return new TemplateError(problem, placeOf(this.#tree.source, at));
  }

  #written({ at }: Operand): string {
    return /^(?:"[^"]*"|`[^`]*`|[^\s|)}]+)/.exec(this.#tree.source.slice(at))?.[0] ?? '.';
  }
}

function countText(least: number, most: number): string {
  if (most === Infinity) return `at least ${least} argument${least === 1 ? '' : 's'}`;
  if (least === most) return `${least} argument${least === 1 ? '' : 's'}`;
  return `${least} to ${most} arguments`;
}
