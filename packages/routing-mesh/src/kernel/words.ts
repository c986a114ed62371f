import type { IpAddress } from '@swarm/api';

/**
 * A checked word of a command: letters, digits and `_.:/-`, beginning with a letter, digit or `/`. So it is one
 * word wherever it stands, never an option, and never the end of a line. Made only by {@link word}.
 */
export type Word = string & { readonly __word: never };
/** One command of a batch, such as `link del swtabc`. Made only by {@link line}. */
export type Line = string & { readonly __line: never };
/** What a command may contain. */
export type CommandValue = Word | Line | IpAddress | number;

/** Longest word; the longest we need is a path of a network namespace. */
const WORD_LIMIT = 256;
const WORD = /^[0-9A-Za-z/][0-9A-Za-z_.:/-]*$/;
/** IPv6 addresses may begin with a colon: `::1`. */
const ADDRESS = /^[0-9a-f.:]+$/;
const LINE = /^[0-9A-Za-z][0-9A-Za-z_.:/ -]*$/;
const LINES = /^(?:[0-9A-Za-z][0-9A-Za-z_.:/ -]*\n)*$/;
const ARGUMENT = /^[0-9A-Za-z_.:/=-]+$/;
/** Our rules only use the other characters. No `$`, `#`, `'`, `\`, no control character except the line feed. */
const NOT_NFT_TEXT = /[^0-9A-Za-z_ \n.,:;{}()"*@&|!=<>+/-]/;

/** Something unchecked was about to reach a system program. Nothing was run. */
export class UnsafeCommandError extends Error {
  override readonly name = 'UnsafeCommandError';

  /** @param what names the command; the text itself is shown escaped and shortened */
  constructor(what: string, text: string) {
    super(`${what} contains characters that are not allowed: ${JSON.stringify(text).slice(0, 80)}`);
  }
}

/** Whether the text can be a {@link Word}. */
export function isWord(text: string): text is Word {
  return text.length <= WORD_LIMIT && WORD.test(text);
}

/** @throws UnsafeCommandError */
export function word(text: string): Word {
  if (!isWord(text)) throw new UnsafeCommandError('a word of a command', text);
  return text;
}

/**
 * Builds a command of a batch. Only checked values fit into it, so a raw string does not compile, and each is
 * checked again.
 * @example line`route replace ${peer.subnet} via ${gateway} dev ${TUNNEL_DEVICE}`
 * @throws UnsafeCommandError
 */
export function line(parts: TemplateStringsArray, ...values: readonly CommandValue[]): Line {
  const text = fill(parts, values);
  if (!LINE.test(text)) throw new UnsafeCommandError('a line of a batch', text);
  return text as Line;
}

/**
 * Builds the arguments of a command, split at spaces.
 * @example words`-D --reply-src ${address}`
 * @throws UnsafeCommandError
 */
export function words(parts: TemplateStringsArray, ...values: readonly CommandValue[]): string[] {
  return fill(parts, values).split(' ');
}

function fill(parts: TemplateStringsArray, values: readonly CommandValue[]): string {
  let text = parts[0]!;
  values.forEach((value, i) => {
    text += checked(value) + parts[i + 1]!;
  });
  return text;
}

function checked(value: CommandValue): string {
  if (typeof value === 'number') {
    if (Number.isSafeInteger(value) && value >= 0) return String(value);
  } else if (isWord(value) || ADDRESS.test(value) || LINE.test(value)) return value;
  throw new UnsafeCommandError('a value of a command', String(value));
}

/**
 * The last line of defence, whatever the callers did: checks a command just before it runs.
 * @throws UnsafeCommandError
 */
export function checkCommand(program: string, args: readonly string[], input: string): void {
  for (const arg of args) {
    if (!ARGUMENT.test(arg)) throw new UnsafeCommandError(`an argument of ${program}`, arg);
  }
  if (program === 'nft') checkNftText(input);
  else if (!LINES.test(input)) throw new UnsafeCommandError(`the input of ${program}`, input);
}

/** @throws UnsafeCommandError */
export function checkNftText(text: string): void {
  const at = text.search(NOT_NFT_TEXT);
  if (at !== -1) throw new UnsafeCommandError('the text for nft', text.slice(at));
}
