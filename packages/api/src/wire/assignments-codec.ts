import type { TaskState } from '../objects/task.js';
import { taskShape, taskStateShape } from '../shapes/task.js';
import type { AssignedKindCodec, AssignedKindCodecs } from './assigned-kinds.js';
import type { AssignmentChange, Assignments } from './assignments.js';
import {
  choice,
  count,
  isFields,
  literal,
  objectId,
  readEach,
  record,
  type Shape,
  ShapeError,
  tryRead,
} from './shape.js';
import { sizeBytes } from './size.js';
import type { TaskAssignments } from './task-assignments.js';

/** Most changes in a message; the frame limit is tighter. */
export const ASSIGNED_LIMIT = 100_000;
/** How many characters of an unknown kind are shown. */
const KIND_SHOWN_LIMIT = 64;

/** A change that could not be read and was left out. */
export interface UnreadAssignment {
  readonly what: 'assigned object';
  /** Kind and id are undefined when not even they could be read. The kind may be one that nobody knows. */
  readonly kind: string | undefined;
  readonly id: string | undefined;
  /** What a task should do, when that could be read. */
  readonly desired: TaskState | undefined;
  readonly problem: string;
}

type Unread = (part: UnreadAssignment) => void;

/** Typed assignments, or those of protocol 1: they are told apart by their fields. */
export function assignmentsShape(
  kinds: AssignedKindCodecs,
  unread: Unread,
): Shape<Assignments | TaskAssignments> {
  const typed = typedShape(kinds, unread);
  const tasks = taskAssignmentsShape(unread);
  return {
    read: (value) => (isFields(value) && 'update' in value ? tasks.read(value) : typed.read(value)),
  };
}

function typedShape(kinds: AssignedKindCodecs, unread: Unread): Shape<Assignments> {
  const change = changeShape(kinds);
  return record<Assignments>({
    type: literal('assignments'),
    set: choice<Assignments['set']>({ piece: true, complete: true, incremental: true }),
    appliesTo: count,
    resultsIn: count,
    changes: {
      read: (value) =>
        readEach(change, value, ASSIGNED_LIMIT, ({ value: bad, error }) => {
          const fields = isFields(bad) ? bad : {};
          const { kind, action, object } = fields;
          unread({
            what: 'assigned object',
            kind: typeof kind === 'string' ? kind.slice(0, KIND_SHOWN_LIMIT) : undefined,
            id: action === 'remove' ? tryRead(objectId, fields.id) : idIn(object),
            desired: kind === 'task' ? desiredIn(object) : undefined,
            problem: error.message,
          });
        }),
    },
  });
}

function taskAssignmentsShape(unread: Unread): Shape<TaskAssignments> {
  const bad = (value: unknown, problem: string) =>
    unread({
      what: 'assigned object',
      kind: 'task',
      id: idIn(value),
      desired: desiredIn(value),
      problem,
    });
  const each = <T>(item: Shape<T>): Shape<readonly T[]> => ({
    read: (value) =>
      readEach(item, value, ASSIGNED_LIMIT, (one) => bad(one.value, one.error.message)),
  });
  return record<TaskAssignments>({
    type: literal('assignments'),
    kind: choice<TaskAssignments['kind']>({ complete: true, incremental: true }),
    appliesTo: count,
    resultsIn: count,
    update: each(taskShape),
    remove: each(objectId),
  });
}

interface ReadPut {
  readonly kind: string;
  readonly action: 'put';
  readonly object: { readonly ID: string };
}

interface ReadRemoval {
  readonly kind: string;
  readonly action: 'remove';
  readonly id: string;
}

function changeShape(kinds: AssignedKindCodecs): Shape<AssignmentChange> {
  const shapes = new Map(
    Object.entries(kinds).map(([kind, codec]) => [kind, shapesOf(kind, codec)]),
  );
  return {
    read(value) {
      if (!isFields(value)) throw new ShapeError('', 'must be an object');
      const { kind, action } = value;
      const shape = typeof kind === 'string' ? shapes.get(kind) : undefined;
      if (shape === undefined) throw new ShapeError('kind', 'is not known to this version');
      if (action !== 'put' && action !== 'remove') {
        throw new ShapeError('action', 'must be one of put, remove');
      }
      // The table has one shape for each member of the union.
      return shape[action].read(value) as AssignmentChange;
    },
  };
}

function shapesOf(kind: string, { shape, limitBytes }: AssignedKindCodec<{ readonly ID: string }>) {
  const object: Shape<{ readonly ID: string }> = {
    read(value) {
      const found = shape.read(value);
      if (sizeBytes(found) > limitBytes) {
        throw new ShapeError('', `must have at most ${limitBytes} bytes`);
      }
      return found;
    },
  };
  return {
    put: record<ReadPut>({ kind: literal(kind), action: literal('put'), object }),
    remove: record<ReadRemoval>({ kind: literal(kind), action: literal('remove'), id: objectId }),
  };
}

function idIn(value: unknown): string | undefined {
  return isFields(value) ? tryRead(objectId, value.ID) : undefined;
}

function desiredIn(value: unknown): TaskState | undefined {
  return isFields(value) ? tryRead(taskStateShape, value.DesiredState) : undefined;
}
