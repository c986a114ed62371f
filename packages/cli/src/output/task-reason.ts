import type { Task } from '@swarm/api';
import { compareStates } from '@swarm/api/client';

/**
 * Why a task is not as the service wants it: what went wrong, what it waits for, or why it was stopped. Empty
 * when it runs and serves, or ended well.
 */
export function reasonOf({ Status: status, DesiredState: desired }: Task): string {
  const { State: state, Err: error = '', Message: message = '' } = status;
  // Of a task that was stopped, its last error may be about something else.
  if (state === 'shutdown') return message;
  if (error !== '') return error;
  if (state === 'complete') return '';
  const isWanted = compareStates(desired, 'running') <= 0 || desired === 'complete';
  return state === 'running' && isWanted && status.Ready !== false ? '' : message;
}
