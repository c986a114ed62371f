/**
 * An interpreter of Go's template language (text/template of Go 1.24), as far as the users of Docker's
 * `--format` need it. It knows nothing of commands or daemons.
 *
 *     const template = parseTemplate('{{range .Ports}}{{.TargetPort}} {{end}}');
 *     template.execute({ type: SERVICE, data: service });
 *
 * From source to text:
 *
 * - `lexer` splits the source into tokens; `parser` (blocks) and `pipe-parser` (what is inside of `{{ }}`) make
 *   the tree of `nodes`. All syntax, the names of functions and variables are checked there: a template that
 *   parses fails only for what the data holds.
 * - `check-fields` finds fields that do not exist without an object, where the type is known to be complete.
 * - `executor` walks the tree. A `value` is JSON with a type of `types`: the JSON of a daemon leaves out what is
 *   not set, and the type says what Go prints for it (`fields`), and which fields there are at all.
 * - `print`, `printf`, `numbers`, `times` and `quote` print as Go's fmt does; `functions` has Go's functions and
 *   Docker's.
 *
 * It differs from Go's on purpose:
 *
 * - Errors give line and column, say what was expected, and list the fields that exist.
 * - Everything ends: `limits` bounds nesting, calls, steps and the length of texts.
 * - Only fields of the JSON and of the types are reachable, never JavaScript's own (`constructor`, `__proto__`).
 * - Strings from a daemon pass through `show` when they become text, so that a terminal does not obey them;
 *   what the template itself writes stays as it is.
 * - There are no complex numbers, no `%#v`, no integers beyond 2^53, no methods but those of times and
 *   durations. A pointer inside of a printed struct prints what it points to instead of its address. `join` also
 *   takes lists of numbers.
 */
import { checkFields } from './check-fields.js';
import { Execution } from './executor.js';
import { BUILTINS } from './functions/builtins.js';
import { DOCKER_FUNCTIONS, HEADER_FUNCTIONS } from './functions/docker.js';
import type { Reading } from './lexer.js';
import { parse } from './parser.js';
import type { Show } from './print.js';
import { TemplateError } from './template-error.js';
import type { StructType, Type } from './types.js';
import { typed } from './value.js';

export { TemplateError } from './template-error.js';

const FUNCTIONS = new Map([...BUILTINS, ...DOCKER_FUNCTIONS]);
const IN_HEADER = new Map([...FUNCTIONS, ...HEADER_FUNCTIONS]);
const NAMES = new Set([...FUNCTIONS.keys(), 'and', 'or']);

/** What a template is executed on. */
export interface Data {
  readonly type: Type;
  /** As parsed from JSON. */
  readonly data: unknown;
}

/** A template that was parsed. */
export interface Template {
  /**
   * Checks the fields of the object itself, before there is one.
   * @param type all fields that there are
   * @throws {TemplateError}
   */
  check(type: StructType): void;
  /** @throws {TemplateError} */
  execute(data: Data, show?: Show): string;
  /**
   * Executes it on the headings of a table, where functions that change a value keep the heading. Stops at what
   * cannot be done with a heading, as Docker does.
   */
  heading(headings: Data): string;
}

/**
 * @param reading where the template begins in its source, for places that count from the source's start
 * @throws {TemplateError} for anything that is not a template of Go
 */
export function parseTemplate(
  source: string,
  { escapes = false, start = 0 }: Partial<Reading> = {},
): Template {
  const tree = parse(source, NAMES, { escapes, start });
  return {
    check: (type) => checkFields(tree, type),
    execute({ type, data }, show = (text) => text) {
      const execution = new Execution(tree, FUNCTIONS, show);
      execution.run(typed(type, data));
      return execution.text;
    },
    heading({ type, data }) {
      const execution = new Execution(tree, IN_HEADER, (text) => text);
      try {
        execution.run(typed(type, data));
      } catch (error) {
        if (!(error instanceof TemplateError)) throw error;
      }
      return execution.text;
    },
  };
}
