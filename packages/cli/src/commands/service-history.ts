import type { RevisionReport } from '@swarm/api';
import type { Command } from '../command.js';
import { type List, parseListFormat } from '../output/format.js';
import { humanDuration } from '../output/time.js';

const LIST: List = {
  name: 'service history',
  fields: {
    Revision: 'REVISION',
    State: 'STATE',
    Cause: 'BY',
    Started: 'STARTED',
    Image: 'IMAGE',
    Message: 'MESSAGE',
    Number: 'NUMBER',
  },
  hidden: ['Number'],
  raw: {
    all: 'number: {{.Number}}\\nstate: {{.State}}\\nby: {{.Cause}}\\nstarted: {{.Started}}\\nimage: {{.Image}}\\nmessage: {{.Message}}\\n',
    quiet: 'number: {{.Number}}',
  },
};

export const HISTORY: Command = {
  path: ['service', 'history'],
  usage: '[OPTIONS] SERVICE',
  about: 'List the revisions of a service, newest first: what it was, when, and what became of it.',
  flags: {
    format: { type: 'string', about: 'json, table, raw or a Go template' },
    'no-trunc': { type: 'boolean', about: 'do not shorten output' },
    quiet: { type: 'boolean', short: 'q', about: 'only show numbers' },
  },
  least: 1,
  most: 1,
  completes: ['service'],
  examples: [
    { line: 'service history web', about: 'which revisions "service rollback --to" can go to' },
    { line: 'service history --format json web', about: 'with the whole specs' },
  ],
  async run({ args, client, output }) {
    const printer = await parseListFormat(args.string('format'), LIST, args.boolean('quiet'));
    const name = encodeURIComponent(args.positionals[0]!);
    const revisions = await client.get<RevisionReport[]>(`/x/services/${name}/history`);
    if (printer.isQuiet) {
      for (const revision of revisions) output.line(String(revision.Number));
      return 0;
    }
    const full = args.boolean('no-trunc');
    const now = Date.now();
    const rows = revisions.map((revision) => {
      const image = revision.Spec.TaskTemplate.ContainerSpec?.Image ?? '';
      return {
        Revision: `${revision.Number}${markOf(revision)}`,
        Number: revision.Number,
        State: revision.State,
        Cause: revision.Cause,
        Started: `${humanDuration(now - Date.parse(revision.StartedAt))} ago`,
        Image: full ? image : image.replace(/@sha256:[0-9a-f]+$/, ''),
        Message: revision.Message ?? '',
      };
    });
    printer.print(output, rows, { json: revisions, ...(full ? {} : { wrapped: 'Message' }) });
    return 0;
  },
};

function markOf({ IsCurrent: isCurrent, IsRollbackTarget: isTarget }: RevisionReport): string {
  if (isCurrent) return ' (current)';
  return isTarget ? ' (rollback)' : '';
}
