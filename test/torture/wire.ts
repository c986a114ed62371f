/** What happens to the bytes from one host to another, over whichever connection they go. */
export class Wire {
  /** Nothing arrives; what was sent waits, and arrives late when this ends. */
  private isHeld = false;
  /** Every piece arrives so much later, ms. */
  delayMs = 0;
  private waiting: (() => void)[] = [];

  get held(): boolean {
    return this.isHeld;
  }

  hold(): void {
    this.isHeld = true;
  }

  release(): void {
    this.isHeld = false;
    const { waiting } = this;
    this.waiting = [];
    for (const wake of waiting) wake();
  }

  /** Calls back once, when the wire is let go. */
  whenReleased(wake: () => void): void {
    this.waiting.push(wake);
  }
}
