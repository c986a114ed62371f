import type { LogLine } from '@swarm/api';

/** Lines of a log, which it opens once `ready` resolves. Unlike a generator's, its `return` never waits. */
export function lateLines(
  ready: Promise<void>,
  open: () => AsyncIterable<LogLine> | undefined,
): AsyncIterable<LogLine> {
  return {
    [Symbol.asyncIterator]() {
      const end = { done: true, value: undefined } as const;
      let lines: AsyncIterator<LogLine> | undefined;
      let returned = false;
      return {
        async next() {
          await ready;
          if (returned) return end;
          lines ??= open()?.[Symbol.asyncIterator]();
          return (await lines?.next()) ?? end;
        },
        async return() {
          returned = true;
          void lines?.return?.();
          return end;
        },
      };
    },
  };
}
