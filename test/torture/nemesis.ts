import { DISK_FAULTS } from './disk-faults.js';
import { MEMBERSHIP_FAULTS } from './membership-faults.js';
import { NETWORK_FAULTS } from './network-faults.js';
import { PROCESS_FAULTS } from './process-faults.js';
import { type Fault, hold, type Scene } from './scene.js';

export const FAULTS: readonly Fault[] = [
  ...PROCESS_FAULTS,
  ...NETWORK_FAULTS,
  ...DISK_FAULTS,
  ...MEMBERSHIP_FAULTS,
];

/** After a fault, all members that run and can be reached must accept a write within this time. */
const SERVE_LIMIT_MS = 30_000;
/** Writes already under way do not count. */
const WRITES_TO_SERVE = 10;
const SLOW_LIMIT_MS = 60;
const BETWEEN_MS = [100, 1_500] as const;

/** Breaks one thing after another. */
export class GroupNemesis {
  private readonly scene: Scene;
  private readonly faults: readonly Fault[];
  private readonly say: (kind: string) => void;

  /**
   * @param faults to choose from
   * @param say called with each fault as it begins
   */
  constructor(scene: Scene, faults: readonly Fault[], say: (kind: string) => void) {
    this.scene = scene;
    this.faults = faults;
    this.say = say;
  }

  /**
   * Runs each kind once; the group must serve after each. @throws when it does not, or a fault
   * fails
   */
  async runAll(): Promise<void> {
    for (const fault of this.faults) {
      await this.run(fault);
      await this.serves();
    }
  }

  /** Runs one drawn fault. The next may come before the group has recovered from it. */
  async runOne(): Promise<void> {
    const { scene } = this;
    const { prng, group } = scene;
    const fault = this.draw();
    // Some faults happen while links are slow.
    const slow = prng.below(4) === 0;
    if (slow) group.network.delayAll(() => prng.below(SLOW_LIMIT_MS));
    await this.run(fault);
    if (slow) group.network.heal(false);
    if (prng.below(3) > 0) await this.serves();
    await hold(scene, ...BETWEEN_MS);
  }

  /** @throws when nobody accepts a write */
  async serves(): Promise<void> {
    const { counts, patience } = this.scene;
    const enough = counts.acceptedWrites + WRITES_TO_SERVE;
    await patience.until(
      `the group accepts ${WRITES_TO_SERVE} writes`,
      () => counts.acceptedWrites >= enough,
      SERVE_LIMIT_MS,
    );
  }

  private async run(fault: Fault): Promise<void> {
    this.say(fault.kind);
    this.scene.counts.fault(fault.kind);
    try {
      await fault.run(this.scene);
    } catch (error) {
      throw new Error(`${fault.kind}: ${(error as Error).message}`, { cause: error });
    }
  }

  private draw(): Fault {
    const { faults, scene } = this;
    const total = faults.reduce((sum, { weight }) => sum + weight, 0);
    let at = scene.prng.below(total);
    return faults.find(({ weight }) => {
      at -= weight;
      return at < 0;
    })!;
  }
}
