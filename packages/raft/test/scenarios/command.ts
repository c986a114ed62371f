import type { MemberId } from '../../src/core/types.js';

/** One line `> name word key=value …` of a scenario. */
export interface Command {
  readonly name: string;
  readonly words: readonly string[];
  readonly options: ReadonlyMap<string, string>;
}

/** What a command does; the returned lines are its output. */
export type Handler<World> = (world: World, command: Command) => string[];
export type Handlers<World> = Readonly<Record<string, Handler<World>>>;

export function parseCommand(line: string): Command {
  const [name = '', ...rest] = line.trim().split(/\s+/);
  const words: string[] = [];
  const options = new Map<string, string>();
  for (const word of rest) {
    const at = word.indexOf('=');
    if (at > 0) options.set(word.slice(0, at), word.slice(at + 1));
    else words.push(word);
  }
  return { name, words, options };
}

export function numberAt(command: Command, position: number): number {
  return toNumber(command.words[position], `${command.name}, word ${position + 1}`);
}

export function numberOption(command: Command, name: string): number | undefined {
  const value = command.options.get(name);
  return value === undefined ? undefined : toNumber(value, name);
}

/** `1,2,3`; an empty text means no ids. */
export function ids(text: string | undefined): MemberId[] {
  return (text ?? '').split(',').filter(Boolean).map(Number);
}

function toNumber(text: string | undefined, what: string): number {
  const value = Number(text);
  if (text === undefined || !Number.isSafeInteger(value)) throw new Error(`${what}: not a number`);
  return value;
}
