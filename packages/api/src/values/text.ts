/** Most characters of an object's id. Ours have 25, see ids.ts. */
export const OBJECT_ID_LIMIT = 64;

const OBJECT_ID = /^[0-9A-Za-z][0-9A-Za-z_-]*$/;

/** Whether the value can be an object's id: safe in a path, a log, a key of the database and a command. */
export function isObjectId(value: unknown): value is string {
  return typeof value === 'string' && value.length <= OBJECT_ID_LIMIT && OBJECT_ID.test(value);
}

const TIMESTAMP = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?(?:Z|[+-]\d{2}:\d{2})$/;

/** Whether the value is an RFC 3339 time, with up to nine decimals. */
export function isTimestamp(value: unknown): value is string {
  if (typeof value !== 'string' || !TIMESTAMP.test(value)) return false;
  // Date.parse takes ten times as long, and statuses arrive by the thousand.
  const month = digits(value, 5);
  const day = digits(value, 8);
  const isDay = month >= 1 && month <= 12 && day >= 1 && day <= daysIn(month, value);
  const isTime = digits(value, 11) < 24 && digits(value, 14) < 60 && digits(value, 17) < 60;
  if (!isDay || !isTime || value.endsWith('Z')) return isDay && isTime;
  return digits(value, value.length - 5) < 24 && digits(value, value.length - 2) < 60;
}

function digits(text: string, at: number): number {
  return (text.charCodeAt(at) - 48) * 10 + text.charCodeAt(at + 1) - 48;
}

function daysIn(month: number, timestamp: string): number {
  if (month !== 2) return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31;
  const year = Number(timestamp.slice(0, 4));
  return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28;
}

/**
 * Characters that a terminal obeys instead of showing: C0 and C1 controls and DEL, and the marks that
 * reorder or break text (Unicode Standard Annex 9; U+2028 and U+2029).
 */
// biome-ignore lint/suspicious/noControlCharactersInRegex: the pattern is meant to find them
const CONTROLS = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/** Whether the value is text of at most `limit` UTF-16 units that a terminal shows as it is. */
export function isPlainText(value: unknown, limit: number): value is string {
  return typeof value === 'string' && value.length <= limit && showControls(value) === value;
}

/**
 * The text with every control character spelt out (`\x1b`, `\u202e`), so that a terminal shows it instead
 * of obeying it.
 * @param keep characters to leave as they are, such as `'\n\t'`
 */
export function showControls(text: string, keep = ''): string {
  return text.replace(CONTROLS, (character) => {
    if (keep.includes(character)) return character;
    const code = character.charCodeAt(0);
    const hex = code.toString(16);
    return code < 256 ? `\\x${hex.padStart(2, '0')}` : `\\u${hex.padStart(4, '0')}`;
  });
}

/** Control characters that JSON leaves in place; they only occur inside strings. */
const CONTROL_OF_JSON = /[^\n\x20-\x7e]/gu;

/** Escapes the control characters of a JSON text as `\u009b`; line feeds between its parts stay. */
export function escapeJson(json: string): string {
  return json.replace(CONTROL_OF_JSON, (character) =>
    showControls(character) === character
      ? character
      : `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

const UTF8 = new TextEncoder();

/** The longest prefix of the text with at most `limitBytes` in UTF-8. Never splits a character. */
export function cutText(text: string, limitBytes: number): string {
  // No UTF-16 unit takes more than three bytes.
  if (text.length * 3 <= limitBytes) return text;
  const { read } = UTF8.encodeInto(text, new Uint8Array(limitBytes));
  return read === text.length ? text : text.slice(0, read);
}
