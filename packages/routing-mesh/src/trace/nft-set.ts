import { UnknownNftTextError } from './nft-tokens.js';
import { canonical, covers, type NftType, readTypes } from './values.js';

/** A set, or with `valueTypes` a map, of our table. What the kernel itself adds to it is not part of it. */
export class NftSet {
  readonly name: string;
  readonly keyTypes: readonly NftType[];
  readonly valueTypes: readonly NftType[] | undefined;
  /** Filled by packets; the tracer only knows what a caller puts in. */
  readonly isDynamic: boolean;
  readonly #isInterval: boolean;
  readonly #elements = new Map<string, string>();

  /** @param line `map slots { type inet_proto . inet_service . mark : mark; }` */
  constructor(line: string) {
    const found =
      /^(set|map) (\w+) \{ type(?:of)? ([^:;]+?)(?: : ([^;]+?))?;( size \d+;)?( flags (interval|dynamic,timeout|timeout|dynamic);)? \}$/.exec(
        line,
      );
    if (found === null) throw new UnknownNftTextError('the set', line);
    const [, kind, name, keys, values, , , flags] = found;
    if ((kind === 'map') !== (values !== undefined)) throw new UnknownNftTextError('the set', line);
    this.name = name!;
    this.keyTypes = readTypes(keys!);
    this.valueTypes = values === undefined ? undefined : readTypes(values);
    this.#isInterval = flags === 'interval';
    this.isDynamic = flags !== undefined && flags !== 'interval';
  }

  get size(): number {
    return this.#elements.size;
  }

  /** Elements as `key` or `key : value`, sorted. */
  get elements(): readonly string[] {
    return [...this.#elements]
      .map(([key, value]) => (value === '' ? key : `${key} : ${value}`))
      .sort();
  }

  /** @throws as the kernel would refuse it */
  add(element: string): void {
    const [keyText, valueText] = split(element);
    const key = this.#read(this.keyTypes, keyText);
    if ((valueText === undefined) !== (this.valueTypes === undefined)) {
      throw new UnknownNftTextError(`the element of ${this.name}`, element);
    }
    const value = valueText === undefined ? '' : this.#read(this.valueTypes!, valueText);
    const before = this.#elements.get(key);
    if (before !== undefined && before !== value) {
      throw new Error(`set ${this.name}: ${key} is there already with ${before}, not ${value}`);
    }
    if (this.#isInterval && before === undefined) {
      for (const other of this.#elements.keys()) {
        if (overlap(key, other)) throw new Error(`set ${this.name}: ${key} overlaps with ${other}`);
      }
    }
    this.#elements.set(key, value);
  }

  /** @throws as the kernel would refuse it */
  delete(element: string): void {
    const key = this.#read(this.keyTypes, element);
    if (!this.#elements.delete(key)) throw new Error(`set ${this.name}: there is no ${key}`);
  }

  /** The value of a key, `''` in a set without values; undefined when it is not in. */
  find(key: readonly string[]): string | undefined {
    if (!this.#isInterval) return this.#elements.get(key.join(' . '));
    for (const [element, value] of this.#elements) {
      if (element.split(' . ').every((part, i) => covers(part, key[i]!))) return value;
    }
    return undefined;
  }

  #read(types: readonly NftType[], text: string): string {
    const parts = text.split(' . ');
    if (parts.length !== types.length) {
      throw new UnknownNftTextError(`the element of ${this.name}`, text);
    }
    return parts
      .map((part, i) =>
        this.#isInterval && part.includes('/') ? part : canonical(types[i]!, part.trim()),
      )
      .join(' . ');
  }
}

function split(element: string): [string, string | undefined] {
  const at = element.indexOf(' : ');
  return at === -1 ? [element, undefined] : [element.slice(0, at), element.slice(at + 3)];
}

function overlap(a: string, b: string): boolean {
  const others = b.split(' . ');
  return a.split(' . ').every((part, i) => {
    const other = others[i]!;
    return covers(part, other.split('/')[0]!) || covers(other, part.split('/')[0]!);
  });
}
