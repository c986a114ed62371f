import { ApiError } from '@swarm/api';
import { type Store, TRANSACTION_CHANGES_LIMIT, type Transaction } from './store.js';

/**
 * Runs `change` for every item in as few transactions as the limits allow, one after the other. A
 * transaction that comes out too large is halved and built again, so `change` may see an item twice;
 * it must only change the transaction. Not atomic: items before a failure stay changed.
 * @param change may make several changes per item; must read from the transaction, not from older objects
 * @throws what `transact` throws; items up to there are done
 */
export async function transactInBatches<T>(
  store: Store,
  items: readonly T[],
  change: (transaction: Transaction, item: T) => void,
): Promise<void> {
  let size = TRANSACTION_CHANGES_LIMIT;
  let next = 0;
  while (next < items.length) {
    const batch = items.slice(next, next + size);
    try {
      await store.transact((transaction) => {
        for (const item of batch) change(transaction, item);
      });
    } catch (error) {
      if (!isTooLarge(error) || batch.length === 1) throw error;
      size = Math.ceil(batch.length / 2);
      continue;
    }
    next += batch.length;
  }
}

/** Whether a transaction holds more than one log entry may; fewer changes may fit. */
export function isTooLarge(error: unknown): boolean {
  return error instanceof ApiError && error.code === 'TOO_LARGE';
}
