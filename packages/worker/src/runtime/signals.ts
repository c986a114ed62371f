import { constants } from 'node:os';

/** Number of a signal given as `SIGTERM`, `TERM`, `term` or `15`; undefined if it is not a signal. */
export function signalNumber(text: string): number | undefined {
  if (/^\d+$/.test(text)) {
    const number = Number(text);
    return number >= 1 && number <= 64 ? number : undefined;
  }
  const name = text.toUpperCase().startsWith('SIG')
    ? text.toUpperCase()
    : `SIG${text.toUpperCase()}`;
  const realTime = /^SIGRTMIN(?:\+(\d+))?$/.exec(name);
  // Signal 34 is the first that libc leaves to programs (signal(7)).
  if (realTime !== null) return 34 + Number(realTime[1] ?? 0);
  return (constants.signals as Readonly<Record<string, number | undefined>>)[name];
}

/** `SIGKILL` for 9; undefined if the number has no name. */
export function signalName(number: number): string | undefined {
  return Object.entries(constants.signals).find(([, value]) => value === number)?.[0];
}
