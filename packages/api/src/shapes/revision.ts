import type { Revision, RevisionCause, RevisionOutcome } from '../objects/revision.js';
import { choice, count, objectId, optional, record, text, timestamp } from '../wire/shape.js';
import { META, objectVersionShape } from './common.js';
import { serviceSpecShape } from './service.js';

export const revisionShape = record<Revision>({
  ...META,
  ServiceID: objectId,
  Number: count,
  Spec: serviceSpecShape,
  SpecVersion: objectVersionShape,
  Cause: choice<RevisionCause>({
    create: true,
    update: true,
    rollback: true,
    'automatic rollback': true,
  }),
  StartedAt: timestamp,
  Outcome: optional(choice<RevisionOutcome>({ completed: true, failed: true, replaced: true })),
  Message: optional(text()),
  EndedAt: optional(timestamp),
  CompletedAt: optional(timestamp),
});
