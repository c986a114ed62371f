import type { EndpointSpec } from '@swarm/api';
import type { Arguments } from '../command.js';

/** How nodes choose among tasks, as far as flags say it. What takes an option away is sent as such. */
export function trafficOf(args: Arguments): Partial<EndpointSpec> {
  const affinity = args.string('affinity');
  const policy = args.string('traffic-policy');
  const weight = args.number('revision-weight');
  return {
    ...(affinity === undefined ? {} : { Affinity: affinity as 'client' }),
    ...(policy === undefined ? {} : { TrafficPolicy: policy as 'local' }),
    ...(weight === undefined ? {} : { RevisionWeight: weight }),
  };
}
