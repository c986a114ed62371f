export type Color = 'green' | 'red' | 'yellow';

/** Select Graphic Rendition (ECMA-48, 8.3.117). */
const CODE: Readonly<Record<Color, number>> = { red: 31, green: 32, yellow: 33 };

/** The text in a colour, then back to the usual one. */
export function colored(text: string, color: Color): string {
  return `\u001b[${CODE[color]}m${text}\u001b[0m`;
}

/**
 * Whether a stream gets colours: never with NO_COLOR (no-color.org), always with FORCE_COLOR or
 * CLICOLOR_FORCE, else on a terminal that is not dumb unless CLICOLOR is 0.
 */
export function wantsColor(env: NodeJS.ProcessEnv, isTerminal: boolean): boolean {
  if ((env.NO_COLOR ?? '') !== '') return false;
  if (isOn(env.FORCE_COLOR) || isOn(env.CLICOLOR_FORCE)) return true;
  return isTerminal && env.TERM !== 'dumb' && env.CLICOLOR !== '0' && env.FORCE_COLOR !== '0';
}

function isOn(value: string | undefined): boolean {
  return value !== undefined && value !== '' && value !== '0' && value !== 'false';
}
