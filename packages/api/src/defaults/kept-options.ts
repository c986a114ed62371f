import type { EndpointSpec, PortConfig } from '../objects/service.js';
import type { ServiceSpecInput } from '../validate/service-shape.js';

type EndpointInput = NonNullable<ServiceSpecInput['EndpointSpec']>;
type PortInput = NonNullable<EndpointInput['Ports']>[number];

/**
 * The endpoint that a client sent for a service that exists. Docker's clients drop fields that they do not know
 * when they read, edit and write a spec: options of ours that are absent stay as they are, on ports whose mapping
 * is the same. What means "none" (`HostIP` or `ClientLimits` empty, affinity or PROXY protocol `none`, policy `cluster`, a weight of 100, a rule that
 * admits everybody) takes an option away.
 */
export function withKeptOptions(input: EndpointInput, present: EndpointSpec = {}): EndpointInput {
  const { Allow, Affinity, TrafficPolicy, RevisionWeight, Ports = [] } = present;
  return {
    ...given({ Allow: allowInput(Allow), Affinity, TrafficPolicy, RevisionWeight }),
    ...input,
    ...(input.Ports !== undefined && {
      Ports: input.Ports.map((port) => {
        const same = Ports.find((one) => isSameMapping(one, port));
        return same === undefined ? port : { ...optionsOf(same), ...port };
      }),
    }),
  };
}

function allowInput(rules: EndpointSpec['Allow']): EndpointInput['Allow'] {
  return rules?.map(({ From, Ports = [] }) => ({ From, Ports: [...Ports] }));
}

function isSameMapping(a: PortConfig, b: PortInput): boolean {
  return (
    a.Protocol === (b.Protocol ?? 'tcp') &&
    a.TargetPort === b.TargetPort &&
    (a.PublishedPort ?? 0) === (b.PublishedPort ?? 0) &&
    a.PublishMode === (b.PublishMode ?? 'ingress')
  );
}

function optionsOf({ HostIP, ClientLimits, ProxyProtocol }: PortConfig): Partial<PortInput> {
  return given({ HostIP, ClientLimits, ProxyProtocol });
}

function given<T extends object>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };
}
