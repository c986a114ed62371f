import type { Labels } from '../objects/common.js';
import { SpecError } from './spec-error.js';

/** What placeholders stand for. */
export interface TemplateValues {
  readonly service: { readonly id: string; readonly name: string; readonly labels: Labels };
  readonly node: {
    readonly id: string;
    readonly hostname: string;
    readonly architecture: string;
    readonly os: string;
  };
  readonly task: { readonly id: string; readonly name: string; readonly slot: string };
}

/** Text, or a placeholder. */
type Part = string | ((values: TemplateValues) => string);

const FIELDS: ReadonlyMap<string, (values: TemplateValues) => string> = new Map([
  ['.Service.ID', ({ service }) => service.id],
  ['.Service.Name', ({ service }) => service.name],
  ['.Node.ID', ({ node }) => node.id],
  ['.Node.Hostname', ({ node }) => node.hostname],
  ['.Node.Platform.Architecture', ({ node }) => node.architecture],
  ['.Node.Platform.OS', ({ node }) => node.os],
  ['.Task.ID', ({ task }) => task.id],
  ['.Task.Name', ({ task }) => task.name],
  ['.Task.Slot', ({ task }) => task.slot],
]);
const LABEL = '.Service.Labels.';
const INDEX = /^index\s+\.Service\.Labels\s+("(?:[^"\\]|\\.)*"|`[^`]*`)$/;
const QUOTED = /^(?:"(?:[^"\\]|\\.)*"|`[^`]*`)$/;
const COMMENT = /^\/\*[\s\S]*\*\/$/;
/** How to write what begins a placeholder. */
const LITERAL = 'write {{"{{"}} for the characters {{';

/**
 * Expands the placeholders of Docker's templates: `{{.Service.ID}}`, `{{.Service.Name}}`,
 * `{{.Service.Labels.KEY}}`, `{{index .Service.Labels "key"}}`, `{{.Node.ID}}`, `{{.Node.Hostname}}`,
 * `{{.Node.Platform.Architecture}}`, `{{.Node.Platform.OS}}`, `{{.Task.ID}}`, `{{.Task.Name}}`,
 * `{{.Task.Slot}}`. As in Go, `{{"text"}}` and `` {{`text`}} `` stand for their text, a comment for nothing, and
 * `{{- ` and ` -}}` take the blanks beside them away. A label that does not exist is empty.
 *
 * A `{{` that nothing closes stays as it is: earlier versions stored such texts.
 * @param field for the error: `ContainerSpec.Env`
 * @throws SpecError for any other placeholder
 */
export function expandTemplate(text: string, field: string, values: TemplateValues): string {
  return parse(text, field, (rest) => rest)
    .map((part) => (typeof part === 'string' ? part : part(values)))
    .join('');
}

/** @throws SpecError as `expandTemplate`, and for a `{{` that nothing closes */
export function checkTemplate(text: string, field: string): void {
  parse(text, field, (rest) => {
    throw new SpecError(`${field} has "${short(rest)}", which no }} closes; ${LITERAL}.`);
  });
}

function parse(text: string, field: string, unclosed: (rest: string) => string): Part[] {
  const parts: Part[] = [];
  let at = 0;
  for (let from = text.indexOf('{{'); from >= 0; from = text.indexOf('{{', at)) {
    const end = endOf(text, from + 2);
    if (end === undefined) {
      parts.push(text.slice(at, from), unclosed(text.slice(from)));
      return parts;
    }
    const whole = text.slice(from, end);
    const [, left = '', body = '', right = ''] = /^\{\{(-\s)?([\s\S]*?)(\s-)?\}\}$/.exec(whole)!;
    const before = text.slice(at, from);
    parts.push(left === '' ? before : before.trimEnd());
    parts.push(placeholder(body.trim(), whole, field));
    at = right === '' ? end : end + blanks(text.slice(end));
  }
  parts.push(text.slice(at));
  return parts;
}

/** The place behind the `}}` that ends a placeholder; undefined when none does. Quotes and comments may hold `}}`. */
function endOf(text: string, from: number): number | undefined {
  let at = from;
  while (at < text.length) {
    if (text.startsWith('}}', at)) return at + 2;
    const closing = text.startsWith('/*', at) ? '*/' : text[at] === '`' ? '`' : undefined;
    if (closing !== undefined) {
      const end = text.indexOf(closing, at + closing.length);
      if (end < 0) return undefined;
      at = end + closing.length;
    } else if (text[at] === '"') {
      at += 1;
      while (at < text.length && text[at] !== '"') at += text[at] === '\\' ? 2 : 1;
      at += 1;
    } else at += 1;
  }
  return undefined;
}

function blanks(text: string): number {
  return text.length - text.trimStart().length;
}

function placeholder(body: string, whole: string, field: string): Part {
  if (COMMENT.test(body)) return '';
  if (QUOTED.test(body)) return unquoted(body, whole, field);
  const known = FIELDS.get(body);
  if (known !== undefined) return known;
  const index = INDEX.exec(body)?.[1];
  const label =
    index !== undefined
      ? unquoted(index, whole, field)
      : body.startsWith(LABEL)
        ? body.slice(LABEL.length)
        : undefined;
  if (label !== undefined)
    return ({ service }) => (Object.hasOwn(service.labels, label) ? service.labels[label]! : '');
  const names = [...FIELDS.keys()].join(', ');
  throw new SpecError(
    `${field} has the placeholder ${short(whole)}, which is unknown; use ${names} or ${LABEL}KEY, or ${LITERAL}.`,
  );
}

/** A string of Go; of its escapes, those that JSON has too. */
function unquoted(quoted: string, whole: string, field: string): string {
  if (quoted.startsWith('`')) return quoted.slice(1, -1);
  try {
    return JSON.parse(quoted) as string;
  } catch {
    throw new SpecError(`${field} has the text ${short(whole)}, which has an unknown escape.`);
  }
}

/** Most characters of a user's text in a message. */
const SHOWN_LIMIT = 80;

function short(text: string): string {
  return text.length <= SHOWN_LIMIT ? text : `${text.slice(0, SHOWN_LIMIT)}…`;
}
