/** What happens to the bytes from one host to another, over any connection. */
export class Wire {
  /** While set, nothing arrives; what was sent waits, and arrives late when this ends. */
  private isHeld = false;
  /** How much later every piece arrives, ms. */
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

  /** Calls back once, when the wire is released. */
  whenReleased(wake: () => void): void {
    this.waiting.push(wake);
  }
}
