import type { Entry } from '@swarm/raft';
import { decodeCommand, execute, type Operation, OpKind, Outcome, Violation } from '@swarm/sim';

/**
 * The cheap check of every run: all state comes from one log, so answers must agree with it. Each
 * acknowledged write is in the committed log where it was reported, each answer is what a replay
 * gives, and an answer given before an operation began is not later in the log than that operation.
 */
export function checkLogOrder(
  operations: readonly Operation[],
  committed: readonly (Entry | undefined)[],
): void {
  const done = operations.filter(({ outcome }) => outcome === Outcome.Done);
  checkAnswers(done, committed);
  checkRealTime(done);
}

function checkAnswers(done: readonly Operation[], committed: readonly (Entry | undefined)[]): void {
  const byIndex = new Map<number, Operation[]>();
  for (const operation of done) {
    const list = byIndex.get(operation.index) ?? [];
    list.push(operation);
    byIndex.set(operation.index, list);
  }
  const values = new Map<number, number>();
  let last = committed.length - 1;
  for (const index of byIndex.keys()) last = Math.max(last, index);
  for (let index = 0; index <= last; index++) {
    const entry = committed[index];
    const waiting = byIndex.get(index) ?? [];
    const command =
      entry !== undefined && entry.kind === 0 && entry.data.length > 0
        ? decodeCommand(entry.data)
        : undefined;
    const result = command && execute(values, command);
    for (const operation of waiting) {
      const { id, kind, key, before, succeeded } = operation;
      if (kind === OpKind.Read) {
        const value = values.get(key) ?? 0;
        if (before === value) continue;
        throw new Violation('log order', `read ${id} gave ${before} at ${index}, not ${value}`);
      }
      if (command?.id !== id) {
        throw new Violation('acknowledged write lost', `write ${id} is not at ${index}`);
      }
      if (result?.before === before && result.done === succeeded) continue;
      throw new Violation('log order', `write ${id} got an answer that the log does not give`);
    }
  }
}

function checkRealTime(done: readonly Operation[]): void {
  const calls = [...done].sort((a, b) => a.invoked - b.invoked);
  const returns = [...done].sort((a, b) => a.returned - b.returned);
  let latest: Operation | undefined;
  let at = 0;
  for (const call of calls) {
    for (; at < returns.length && returns[at]!.returned < call.invoked; at++) {
      const returned = returns[at]!;
      if (latest === undefined || returned.index > latest.index) latest = returned;
    }
    if (latest === undefined || call.index >= latest.index) continue;
    throw new Violation(
      'log order',
      `operation ${call.id} saw the log up to ${call.index}, ` +
        `operation ${latest.id} had seen ${latest.index} before`,
    );
  }
}
