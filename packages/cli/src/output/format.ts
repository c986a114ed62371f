import { UsageError } from '../command.js';

/**
 * `--format` of lists and inspections: `json`, `{{json .}}`, or text with `{{.Field}}` and
 * `{{.Field.Sub}}`, `{{json .Field}}`. What Go's templates can do beyond that is refused.
 */
export function formatObject(format: string, object: object): string {
  if (format === 'json') return JSON.stringify(object);
  return format.replace(
    /\{\{\s*(json\s+)?(\.[\w.]*)\s*\}\}|\{\{(.*?)\}\}/g,
    (_, json, path: string | undefined, other) => {
      if (path === undefined) {
        throw new UsageError(
          `template '{{${other}}}' is not supported: use {{.Field}}, {{.Field.Sub}} or {{json .Field}}`,
        );
      }
      const value = lookup(object, path);
      if (json !== undefined || (typeof value === 'object' && value !== null))
        return JSON.stringify(value);
      return String(value ?? '');
    },
  );
}

function lookup(object: object, path: string): unknown {
  let value: unknown = object;
  for (const part of path.split('.').filter((each) => each !== '')) {
    if (typeof value !== 'object' || value === null || !(part in value)) {
      throw new UsageError(`template: no field '${part}' in '${path}'`);
    }
    value = (value as Record<string, unknown>)[part];
  }
  return value;
}
