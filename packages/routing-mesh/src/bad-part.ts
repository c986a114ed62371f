/** What is wrong with a part of a state, as a sentence about it. */
export class BadPart extends Error {
  override readonly name = 'BadPart';
}

type Fields = Readonly<Record<string, unknown>>;

/** @throws BadPart if it is not a map */
export function fieldsOf(value: unknown, what: string): Fields {
  if (typeof value !== 'object' || value === null) throw new BadPart(`${what} is not a map`);
  return value as Fields;
}
