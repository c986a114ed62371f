import { ApiError, parseObjectVersion, type RevisionReport, type Service } from '@swarm/api';
import { sendJson } from '@swarm/http';
import { RevisionLedger, type RevisionDraft } from '../../orchestrator/revisions.js';
import { planServiceUpdate, resumeService } from '../../orchestrator/service-update.js';
import { isPaused, isUpdating } from '../../orchestrator/update-config.js';
import { requireVersion, writeAgain } from '../gate.js';
import { find } from '../lookup.js';
import type { ManagerAccess } from '../manager-access.js';
import { presentSpec } from '../present/service.js';
import type { Call, Route } from '../router.js';
import { changeService } from './services.js';

/** Newest first. */
function history(call: Call, manager: ManagerAccess): void {
  const { store } = manager;
  const service = find(store, 'service', call.params.id!);
  const ledger = new RevisionLedger(store, service, store.timeMs());
  const target = ledger.rollbackTarget()?.Number;
  const reports = ledger.all().map((revision): RevisionReport => {
    const isCurrent = revision === ledger.current;
    return {
      Number: revision.Number,
      IsCurrent: isCurrent,
      IsRollbackTarget: revision.Number === target,
      State: isCurrent ? currentState(service, ledger) : (revision.Outcome ?? 'replaced'),
      Cause: revision.Cause,
      CreatedAt: store.get('revision', revision.ID)?.CreatedAt ?? service.CreatedAt,
      ...times(revision),
      ...messageOf(service, revision, isCurrent),
      Spec: presentSpec(isCurrent ? service.Spec : revision.Spec),
    };
  });
  sendJson(call.response, reports);
}

function currentState(service: Service, ledger: RevisionLedger): RevisionReport['State'] {
  if (isPaused(service)) return 'paused';
  if (isUpdating(service)) return 'in progress';
  return ledger.hasCompleted() ? 'completed' : (ledger.current.Outcome ?? 'in progress');
}

function times({ StartedAt, EndedAt, CompletedAt }: RevisionDraft) {
  return {
    StartedAt,
    ...(EndedAt !== undefined && { EndedAt }),
    ...(CompletedAt !== undefined && { CompletedAt }),
  };
}

function messageOf(
  { UpdateStatus }: Service,
  { Message }: RevisionDraft,
  isCurrent: boolean,
): { Message?: string } {
  const text = isCurrent ? UpdateStatus?.Message : Message;
  return text === undefined ? {} : { Message: text };
}

/** `?to=N`: back to that revision; without it, to the one that completed last. */
async function rollback(call: Call, manager: ManagerAccess): Promise<void> {
  const { query } = call.target;
  const version = parseObjectVersion(query.get('version'), 'service');
  const to = revisionNumber(query.get('to'));
  await changeService(call, manager, (view) => {
    const service = find(view, 'service', call.params.id!);
    requireVersion(service, version);
    const options = { rollback: to ?? ('previous' as const), nowMs: manager.store.timeMs() };
    return planServiceUpdate(view, service, service.Spec, options);
  });
  sendJson(call.response, { Warnings: null });
}

function revisionNumber(given: string | null): number | undefined {
  if (given === null || given === '') return undefined;
  if (/^[1-9]\d{0,14}$/.test(given)) return Number(given);
  throw new ApiError(
    'BAD_REQUEST',
    `invalid revision '${given}': give its number, as 'swarm service history' shows it`,
  );
}

async function resume(call: Call, manager: ManagerAccess): Promise<void> {
  const version = parseObjectVersion(call.target.query.get('version'), 'service');
  await writeAgain(call.services, manager, (transaction) => {
    const service = find(transaction, 'service', call.params.id!);
    requireVersion(service, version);
    transaction.updateSpec('service', resumeService(service, manager.store.timeMs()));
  });
  sendJson(call.response, { Warnings: null });
}

export const revisionRoutes: readonly Route[] = [
  { method: 'GET', pattern: '/x/services/{id}/history', on: 'read', handle: history },
  {
    method: 'POST',
    pattern: '/x/services/{id}/rollback',
    on: 'leader',
    repeat: 'version',
    handle: rollback,
  },
  {
    method: 'POST',
    pattern: '/x/services/{id}/resume',
    on: 'leader',
    repeat: 'version',
    handle: resume,
  },
];
