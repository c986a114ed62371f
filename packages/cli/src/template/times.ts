/** RFC 3339, as a daemon sends it. */
const RFC3339 =
  /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:Z|([+-])(\d\d):(\d\d))$/;
const MONTHS = [
  ...['January', 'February', 'March', 'April', 'May', 'June', 'July', 'August', 'September'],
  ...['October', 'November', 'December'],
];
const DAYS = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'];
/** The elements of Go's reference time `Mon Jan 2 15:04:05 MST 2006`, longest first. */
const ELEMENTS =
  /January|Jan|Monday|Mon|MST|2006|Z07:00|-07:00|-0700|[.,]0+|[.,]9+|0[1-6]|_2|15|PM|pm|[1-6]/g;
/** What Go has for a time that is not set. */
const ZERO = '0001-01-01T00:00:00Z';

interface Moment {
  /** Local to its offset. */
  readonly date: Date;
  readonly nanoseconds: string;
  /** `+0200`; empty for UTC. */
  readonly offset: string;
}

/** Formats a time as Go prints it: `2026-11-23 17:08:21.022384187 +0000 UTC`. */
export function goTimeText(timestamp: unknown): string {
  return goTimeFormat(timestamp, '2006-01-02 15:04:05.999999999 -0700 MST');
}

/** Formats a time by one of Go's layouts. Text that is no time is returned as it is. */
export function goTimeFormat(timestamp: unknown, layout: string): string {
  const moment = read(timestamp);
  return moment === undefined ? String(timestamp) : format(moment, layout);
}

/** Whole seconds since 1970; undefined if it is no time. */
export function unixSeconds(timestamp: unknown): number | undefined {
  const milliseconds = Date.parse(typeof timestamp === 'string' ? timestamp : ZERO);
  return Number.isNaN(milliseconds) ? undefined : Math.floor(milliseconds / 1000);
}

/** Whether it is Go's zero time. */
export function isZeroTime(timestamp: unknown): boolean {
  return timestamp === undefined || timestamp === ZERO;
}

function read(timestamp: unknown): Moment | undefined {
  const match = RFC3339.exec(typeof timestamp === 'string' ? timestamp : ZERO);
  if (match === null) return undefined;
  const [, year, month, day, hour, minute, second, fraction = '', sign, hours, minutes] = match;
  const date = new Date(0);
  date.setUTCFullYear(Number(year), Number(month) - 1, Number(day));
  date.setUTCHours(Number(hour), Number(minute), Number(second));
  return {
    date,
    nanoseconds: fraction.padEnd(9, '0'),
    offset: sign === undefined ? '' : `${sign}${hours}${minutes}`,
  };
}

function format({ date, nanoseconds, offset }: Moment, layout: string): string {
  const two = (value: number) => String(value).padStart(2, '0');
  const hour12 = date.getUTCHours() % 12 === 0 ? 12 : date.getUTCHours() % 12;
  const numeric = offset === '' ? '+0000' : offset;
  const colon = `${numeric.slice(0, 3)}:${numeric.slice(3)}`;
  const month = MONTHS[date.getUTCMonth()]!;
  const day = DAYS[date.getUTCDay()]!;
  const values: Readonly<Record<string, string>> = {
    '2006': String(date.getUTCFullYear()).padStart(4, '0'),
    '01': two(date.getUTCMonth() + 1),
    '1': String(date.getUTCMonth() + 1),
    January: month,
    Jan: month.slice(0, 3),
    '02': two(date.getUTCDate()),
    _2: String(date.getUTCDate()).padStart(2, ' '),
    '2': String(date.getUTCDate()),
    Monday: day,
    Mon: day.slice(0, 3),
    '15': two(date.getUTCHours()),
    '03': two(hour12),
    '3': String(hour12),
    '04': two(date.getUTCMinutes()),
    '4': String(date.getUTCMinutes()),
    '05': two(date.getUTCSeconds()),
    '5': String(date.getUTCSeconds()),
    '06': two(date.getUTCFullYear() % 100),
    PM: date.getUTCHours() < 12 ? 'AM' : 'PM',
    pm: date.getUTCHours() < 12 ? 'am' : 'pm',
    MST: offset === '' ? 'UTC' : offset,
    'Z07:00': offset === '' ? 'Z' : colon,
    '-07:00': colon,
    '-0700': numeric,
  };
  return layout.replace(ELEMENTS, (element) => values[element] ?? fraction(element, nanoseconds));
}

/** `.000` has that many digits, `.999` those without zeros at the end. A single digit is text. */
function fraction(element: string, nanoseconds: string): string {
  if (!/^[.,]/.test(element)) return element;
  const digits = nanoseconds.slice(0, element.length - 1).padEnd(element.length - 1, '0');
  const kept = element[1] === '9' ? digits.replace(/0+$/, '') : digits;
  return kept === '' ? '' : element[0] + kept;
}
