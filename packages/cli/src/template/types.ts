/**
 * The types that Go has for what a template works on, as far as they can be told apart in one: they decide what
 * a field prints that the JSON leaves out, and which fields exist at all.
 */
export type Type =
  | { readonly kind: Kind }
  | { readonly kind: 'slice'; readonly of: Type }
  | { readonly kind: 'map'; readonly of: Type }
  | { readonly kind: 'pointer'; readonly to: Type }
  | StructType;

/**
 * Kinds without parts. `any` is whatever the JSON holds; `nothing` is a missing value and the untyped nil;
 * `bytes` is base64 in JSON; `time` is RFC 3339 in JSON; a `duration` is a number of nanoseconds.
 */
export type Kind =
  | 'any'
  | 'nothing'
  | 'bool'
  | 'string'
  | 'int'
  | 'float'
  | 'bytes'
  | 'time'
  | 'duration';

export interface StructType {
  readonly kind: 'struct';
  readonly name: string;
  /** By the name in Go, in Go's order. */
  readonly fields: ReadonlyMap<string, Field>;
  /** The field whose text is that of the whole, of a type that has a `String` method in Go. */
  readonly text?: string;
}

export interface Field {
  readonly type: Type;
  /** Its name in JSON. */
  readonly key: string;
  /** A struct whose fields are also those of the one around it, where its JSON is, too. */
  readonly embedded: boolean;
  /** Whether Docker's type lacks it: then the text of the whole struct leaves it out, for the same text. */
  readonly ours: boolean;
}

export const ANY: Type = { kind: 'any' };
export const BOOL: Type = { kind: 'bool' };
export const STRING: Type = { kind: 'string' };
export const INT: Type = { kind: 'int' };
export const FLOAT: Type = { kind: 'float' };
export const BYTES: Type = { kind: 'bytes' };
export const TIME: Type = { kind: 'time' };
export const DURATION: Type = { kind: 'duration' };
export const STRINGS: Type = { kind: 'slice', of: STRING };
/** Go's `map[string]string`: labels and options. */
export const STRING_MAP: Type = { kind: 'map', of: STRING };

export function sliceOf(of: Type): Type {
  return { kind: 'slice', of };
}

export function mapOf(of: Type): Type {
  return { kind: 'map', of };
}

/** A value that may be absent: it prints `<nil>` then, and has no fields. */
export function pointerTo(to: Type): Type {
  return { kind: 'pointer', to };
}

/** A field of a struct whose name in JSON is another one than in Go. */
export interface RenamedField {
  readonly type: Type;
  readonly key: string;
}

/** Names of the fields of `T`, so that the compiler notices one that a struct lacks. */
export type FieldsOf<T> = { readonly [K in keyof Required<T>]: Type | RenamedField } & {
  readonly [name: string]: Type | RenamedField;
};

/**
 * Makes a struct. A field whose name begins with `...` is embedded.
 * @param text see StructType
 * @param ours names of the fields that Docker's type lacks
 * @example struct<Pet>('Pet', { '...Meta': META, Name: STRING })
 */
export function struct<T extends object>(
  name: string,
  fields: FieldsOf<T>,
  { text, ours = [] }: { readonly text?: string; readonly ours?: readonly string[] } = {},
): StructType {
  const made = new Map<string, Field>();
  for (const [given, field] of Object.entries(fields)) {
    const embedded = given.startsWith('...');
    const goName = embedded ? given.slice(3) : given;
    const renamed = 'key' in field;
    made.set(goName, {
      type: renamed ? field.type : field,
      key: renamed ? field.key : goName,
      embedded,
      ours: ours.includes(goName),
    });
  }
  return { kind: 'struct', name, fields: made, ...(text !== undefined && { text }) };
}

/** What errors call a type. */
export function typeName(type: Type): string {
  switch (type.kind) {
    case 'nothing':
      return 'nil';
    case 'any':
      return 'value';
    case 'slice':
      return `list of ${typeName(type.of)}`;
    case 'map':
      return `map of ${typeName(type.of)}`;
    case 'pointer':
      return typeName(type.to);
    case 'struct':
      return type.name;
    default:
      return type.kind;
  }
}

/** The name that Go's `fmt` gives a type, in `%T` and in `%!d(string=web)`. */
export function goTypeName(type: Type): string {
  switch (type.kind) {
    case 'nothing':
      return '<nil>';
    case 'any':
      return 'interface {}';
    case 'float':
      return 'float64';
    case 'bytes':
      return '[]uint8';
    case 'time':
      return 'time.Time';
    case 'duration':
      return 'time.Duration';
    case 'slice':
      return `[]${goTypeName(type.of)}`;
    case 'map':
      return `map[string]${goTypeName(type.of)}`;
    case 'pointer':
      return `*${goTypeName(type.to)}`;
    case 'struct':
      return type.name;
    default:
      return type.kind;
  }
}
