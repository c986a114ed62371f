const TWO_32 = 2 ** 32;

/** Folds numbers into 64 bits, to compare two runs event for event. */
export class Digest {
  #high = 0x9e3779b9;
  #low = 0x7f4a7c15;

  add(value: number): void {
    // Numbers above 32 bits count whole; most are far below.
    const top = value >= 0 && value < TWO_32 ? 0 : Math.floor(value / TWO_32);
    this.#low = Math.imul(this.#low ^ value, 0x01000193) ^ (this.#high >>> 13);
    this.#high = Math.imul(this.#high ^ top ^ (this.#low >>> 7), 0x85ebca6b) + 1;
  }

  addBytes(bytes: Uint8Array): void {
    for (const byte of bytes) this.add(byte);
  }

  /** Two 32-bit integers. */
  get halves(): readonly [high: number, low: number] {
    return [this.#high >>> 0, this.#low >>> 0];
  }

  toString(): string {
    return hex(this.#high) + hex(this.#low);
  }
}

function hex(half: number): string {
  return (half >>> 0).toString(16).padStart(8, '0');
}
