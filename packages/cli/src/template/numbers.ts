/** From this exponent on, and below SMALL_EXPONENT, `%v` and `%g` print a float as `1e+06`. */
const LARGE_EXPONENT = 6;
const SMALL_EXPONENT = -4;

/** Formats a float with the fewest digits that mean it, as Go's `%v`: `0.5`, `1e+06`, `1e-05`. */
export function floatText(value: number, largeExponent = LARGE_EXPONENT): string {
  if (!Number.isFinite(value)) return infinite(value);
  if (value === 0) return Object.is(value, -0) ? '-0' : '0';
  const [digits, exponent] = value.toExponential().split('e') as [string, string];
  const power = Number(exponent);
  if (power < SMALL_EXPONENT || power >= largeExponent) return `${digits}e${goExponent(power)}`;
  return plain(value);
}

/** `%e`. */
export function exponentText(value: number, precision: number): string {
  if (!Number.isFinite(value)) return infinite(value);
  const [digits, exponent] = value.toExponential(Math.min(precision, 100)).split('e') as [
    string,
    string,
  ];
  return `${digits}e${goExponent(Number(exponent))}`;
}

/** `%f`. */
export function fixedText(value: number, precision: number): string {
  if (!Number.isFinite(value)) return infinite(value);
  if (Math.abs(value) < 1e21) return value.toFixed(Math.min(precision, 100));
  return BigInt(value).toString() + (precision === 0 ? '' : `.${'0'.repeat(precision)}`);
}

/** `%.3g`: significant digits, without zeros at the end. */
export function significantText(value: number, precision: number): string {
  if (!Number.isFinite(value)) return infinite(value);
  const digits = Math.min(Math.max(precision, 1), 100);
  const rounded = Number(value.toPrecision(digits));
  return floatText(rounded, digits);
}

/** JavaScript's own exponents start later: `1e-7` and `1e21`. */
function plain(value: number): string {
  const text = String(value);
  if (!text.includes('e')) return text;
  return value.toFixed(20).replace(/0+$/, '');
}

/** At least two digits, with a sign. */
function goExponent(power: number): string {
  return `${power < 0 ? '-' : '+'}${String(Math.abs(power)).padStart(2, '0')}`;
}

function infinite(value: number): string {
  if (Number.isNaN(value)) return 'NaN';
  return value > 0 ? '+Inf' : '-Inf';
}
