import type { Command, Flag, Flags } from './command.js';

/** What `--help` calls the value of a flag. */
const VALUE = { string: 'string', number: 'number', list: 'list', boolean: '' } as const;

/** `--help` of a command: usage, what it does, its flags by name, then those of every command. */
export function helpText(command: Command, globals: Flags): string {
  const own = Object.entries(command.flags).sort(([a], [b]) => a.localeCompare(b));
  const rows = [...own, ...Object.entries(globals)].map(([name, flag]) => [
    written(name, flag),
    flag.default === undefined ? flag.about : `${flag.about} (default ${flag.default})`,
  ]);
  const width = Math.max(...rows.map(([left]) => left!.length));
  const line = ([left, right]: string[]) => `${left!.padEnd(width)}   ${right}`;
  const parts = [
    `Usage: swarm ${command.path.join(' ')} ${command.usage}`.trimEnd(),
    command.about,
  ];
  if (own.length > 0) parts.push(`Options:\n${rows.slice(0, own.length).map(line).join('\n')}`);
  parts.push(`Options of every command:\n${rows.slice(own.length).map(line).join('\n')}`);
  return parts.join('\n\n');
}

function written(name: string, flag: Flag): string {
  const short = flag.short === undefined ? '    ' : `-${flag.short}, `;
  return `  ${short}--${name} ${VALUE[flag.type]}`.trimEnd();
}
