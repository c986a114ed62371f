import { modeOf, type Node, type Service } from '@swarm/api';

/** `name.new` and `name.old` where a value changed. */
function change(
  name: string,
  next: string | number | undefined,
  previous: string | number | undefined,
): Record<string, string> {
  if (next === previous) return {};
  return {
    ...(next !== undefined && { [`${name}.new`]: String(next) }),
    ...(previous !== undefined && { [`${name}.old`]: String(previous) }),
  };
}

/** Attributes of a node's event. */
export function nodeAttributes(node: Node, previous?: Node): Record<string, string> {
  const name = node.Spec.Name ?? node.Description?.Hostname ?? node.ID;
  if (previous === undefined) return { name };
  return {
    name,
    ...change('state', node.Status.State, previous.Status.State),
    ...change('availability', node.Spec.Availability, previous.Spec.Availability),
    ...change('role', node.Role, previous.Role),
  };
}

function replicasOf(service: Service): number | undefined {
  const mode = modeOf(service.Spec);
  return mode.kind === 'replicated' ? mode.replicas : undefined;
}

/** Attributes of a service's event. */
export function serviceAttributes(service: Service, previous?: Service): Record<string, string> {
  const name = service.Spec.Name;
  if (previous === undefined) return { name };
  return {
    name,
    ...change('replicas', replicasOf(service), replicasOf(previous)),
    ...change(
      'image',
      service.Spec.TaskTemplate.ContainerSpec?.Image,
      previous.Spec.TaskTemplate.ContainerSpec?.Image,
    ),
    ...change('updatestate', service.UpdateStatus?.State, previous.UpdateStatus?.State),
  };
}
