import { type Service, showControls } from '@swarm/api/client';

/** Whether an update or rollback waits for the user. */
export function isPaused({ UpdateStatus: status }: Service): boolean {
  return status?.State === 'paused' || status?.State === 'rollback_paused';
}

/** What is paused and why, what the cluster does meanwhile, and what the user can do. */
export function pausedLines(service: Service): string[] {
  const { UpdateStatus: status, Revisions: revisions } = service;
  const name = showControls(service.Spec.Name);
  const what = status?.State === 'rollback_paused' ? 'rollback' : 'update';
  const made =
    revisions?.Completed === undefined
      ? []
      : [`tasks made meanwhile are of revision ${revisions.Completed}, which completed last`];
  return [
    `service ${what} paused: ${showControls(status?.Message ?? '')}`,
    ...made,
    `to go on: swarm service update --resume ${name}; to go back: swarm service rollback ${name}`,
  ];
}

/** `to revision 3`; empty where the service has no revisions. */
export function toRevision({ Revisions: revisions }: Service): string {
  return revisions === undefined ? '' : ` to revision ${revisions.Current}`;
}
