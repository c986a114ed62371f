/**
 * Finds the lowest numbers of a range that nobody holds, without looking at all that are held: it remembers
 * below which number none is free. Whoever follows the store reports what was given back.
 */
export class LowestFree {
  readonly #last: number;
  readonly #first: number;
  readonly #isHeld: (number: number) => boolean;
  /** Every number below is held in the store. */
  #from: number;

  /**
   * @param last the highest number of the range
   * @param isHeld whether the store has a holder of the number
   */
  constructor(first: number, last: number, isHeld: (number: number) => boolean) {
    this.#first = first;
    this.#last = last;
    this.#isHeld = isHeld;
    this.#from = first;
  }

  /** Somebody gave the number back. Safe to call when that turns out not to be stored. */
  release(number: number): void {
    if (number >= this.#first && number < this.#from) this.#from = number;
  }

  /** Anything may be free now. */
  reset(): void {
    this.#from = this.#first;
  }

  /** Begins to look for numbers for one transaction. @param isTaken whether the transaction sees a holder */
  search(isTaken: (number: number) => boolean): FreeSearch {
    let next = this.#from;
    return {
      next: () => {
        while (next <= this.#last && isTaken(next)) {
          if (next === this.#from && this.#isHeld(next)) this.#from += 1;
          next += 1;
        }
        return next > this.#last ? undefined : next++;
      },
      release: (number) => {
        this.release(number);
        if (number >= this.#first && number < next) next = number;
      },
    };
  }
}

/** One transaction's way through a range. It has to take what it finds. */
export interface FreeSearch {
  /** The lowest number that is free; undefined when none is. */
  next(): number | undefined;
  /** The transaction gives a number back. */
  release(number: number): void;
}
