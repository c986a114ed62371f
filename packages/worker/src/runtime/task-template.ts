import type { Task } from '@swarm/api';
import type { NodeFacts } from './runtime.js';
import { RuntimeError } from './runtime-error.js';

const PLACEHOLDER = /\{\{(-?)\s*(.*?)\s*(-?)\}\}/g;
const INDEX = /^index\s+\.Service\.Labels\s+"((?:[^"\\]|\\.)*)"$/;

/**
 * Expands Docker's placeholders in an environment variable, hostname or mount: `{{.Service.ID}}`,
 * `{{.Service.Name}}`, `{{.Service.Labels.KEY}}`, `{{index .Service.Labels "key"}}`, `{{.Node.ID}}`,
 * `{{.Node.Hostname}}`, `{{.Node.Platform.Architecture}}`, `{{.Node.Platform.OS}}`, `{{.Task.ID}}`,
 * `{{.Task.Name}}`, `{{.Task.Slot}}`. For a global service, `{{.Task.Slot}}` is the node's id, as in
 * Docker.
 * @throws RuntimeError `rejected` for any other placeholder; names `field`
 */
export function expandTemplate(text: string, field: string, task: Task, node: NodeFacts): string {
  if (!text.includes('{{')) return text;
  return text.replace(PLACEHOLDER, (whole, trimLeft: string, name: string, trimRight: string) => {
    const value =
      trimLeft === '' && trimRight === '' ? placeholderValue(name, task, node) : undefined;
    if (value === undefined) {
      throw new RuntimeError(
        'rejected',
        `${field} has the placeholder ${whole}, which is unknown; use .Service.ID, .Service.Name, ` +
          '.Service.Labels.KEY, .Node.ID, .Node.Hostname, .Node.Platform.Architecture, ' +
          '.Node.Platform.OS, .Task.ID, .Task.Name or .Task.Slot.',
      );
    }
    return value;
  });
}

function placeholderValue(name: string, task: Task, node: NodeFacts): string | undefined {
  switch (name) {
    case '.Service.ID':
      return task.ServiceID;
    case '.Service.Name':
      return task.ServiceName;
    case '.Node.ID':
      return node.id;
    case '.Node.Hostname':
      return node.hostname;
    case '.Node.Platform.Architecture':
      return node.platform.Architecture;
    case '.Node.Platform.OS':
      return node.platform.OS;
    case '.Task.ID':
      return task.ID;
    case '.Task.Name':
      return task.Name;
    case '.Task.Slot':
      return task.Slot > 0 ? String(task.Slot) : (task.NodeID ?? node.id);
  }
  const label = name.startsWith('.Service.Labels.')
    ? name.slice('.Service.Labels.'.length)
    : INDEX.exec(name)?.[1]?.replaceAll(/\\(.)/g, '$1');
  // A missing key of a map is empty text in Go's templates, too.
  return label === undefined ? undefined : (task.ServiceLabels[label] ?? '');
}
