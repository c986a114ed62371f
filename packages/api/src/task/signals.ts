/** Linux's signals from 1 on, as on x86-64 and ARM (signal(7)). */
const NAMES = [
  'HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP TSTP',
  'TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS',
]
  .join(' ')
  .split(' ');
const OTHER_NAMES: Readonly<Record<string, string>> = { IOT: 'ABRT', POLL: 'IO', CLD: 'CHLD' };
/** The first and last signal that libc leaves to programs. */
const REAL_TIME_FIRST = 34;
const LAST = 64;

/** Number of a signal given as `SIGTERM`, `TERM`, `term`, `RTMIN+3` or `15`; undefined if it is not a signal. */
export function signalNumber(text: string): number | undefined {
  const number = /^\d+$/.test(text) ? Number(text) : namedSignal(text.toUpperCase());
  return number !== undefined && number >= 1 && number <= LAST ? number : undefined;
}

function namedSignal(text: string): number | undefined {
  const name = text.replace(/^SIG/, '');
  const [, realTime, distance] = /^RT(MIN|MAX)(?:[+-](\d+))?$/.exec(name) ?? [];
  if (realTime === 'MIN') return REAL_TIME_FIRST + Number(distance ?? 0);
  if (realTime === 'MAX') return LAST - Number(distance ?? 0);
  const at = NAMES.indexOf(OTHER_NAMES[name] ?? name);
  return at < 0 ? undefined : at + 1;
}

/** `SIGKILL` for 9; undefined if the number has no name. */
export function signalName(number: number): string | undefined {
  const name = NAMES[number - 1];
  return name === undefined ? undefined : `SIG${name}`;
}
