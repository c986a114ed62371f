import type { Clock, Logger } from '@swarm/api';

/**
 * Wraps a clock so that a callback cannot end the process: logs what the callback throws, and the loop
 * goes on with its next event. Loops handle expected faults themselves (`SetAside`); this catches the
 * rest, because an exception in a timer would end this leader, and then every leader after it.
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
