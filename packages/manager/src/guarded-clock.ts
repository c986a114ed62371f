import type { Clock, Logger } from '@swarm/api';

/**
 * A clock whose callbacks can not end the process: what one of them throws is logged, and the loop that it
 * belongs to goes on with its next event. Loops set aside what they foresee (`SetAside`); this is for what
 * they do not, since an exception in a timer would end this leader, and then each next one.
 */
export function guardedClock(clock: Clock, logger: Logger): Clock {
  const guarded = (callback: () => void) => () => {
    try {
      callback();
    } catch (error) {
      logger.error({ err: error }, 'a timer of a control loop failed');
    }
  };
  return {
    now: () => clock.now(),
    monotonicMs: () => clock.monotonicMs(),
    setTimeout: (callback, delayMs) => clock.setTimeout(guarded(callback), delayMs),
    clearTimeout: (timer) => clock.clearTimeout(timer),
    setImmediate: (callback) => clock.setImmediate(guarded(callback)),
  };
}
