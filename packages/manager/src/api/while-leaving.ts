import { ApiError } from '@swarm/api';
import { within } from '@swarm/http';
import type { Kind, View } from '../store/store.js';
import type { ManagerAccess } from './manager-access.js';
import type { Call } from './router.js';

/** Changes of these may end a wait. */
const CONCERNED: readonly Kind[] = ['service', 'task', 'node'];

/**
 * Waits while something that was removed still has what the request asks for, up to a limit. With Docker a
 * removed service gives up its name, ports and networks at once, and scripts remove a service and create the
 * next; here it goes once its tasks have stopped. After the limit, the transaction finds what is in the way
 * and says so.
 */
export async function whileLeaving(
  call: Call,
  manager: ManagerAccess,
  isLeaving: (view: View) => boolean,
): Promise<void> {
  const { store } = manager;
  if (!isLeaving(store)) return;
  const { clock, limits, closing } = call.services;
  let stop = (): void => {};
  const gone = new Promise<void>((resolve) => {
    const end = store.watch(({ events, reset }) => {
      const isConcerned = reset || events.some(({ kind }) => CONCERNED.includes(kind));
      if (isConcerned && !isLeaving(store)) resolve();
    });
    const onEnd = (): void => resolve();
    call.response.once('close', onEnd);
    closing.addEventListener('abort', onEnd, { once: true });
    stop = () => {
      end();
      call.response.off('close', onEnd);
      closing.removeEventListener('abort', onEnd);
    };
  });
  await within(clock, limits.removalMs, gone, () => new ApiError('TIMEOUT', ''))
    .catch(() => {})
    .finally(stop);
}
