import type { TaskEnd } from '../runtime.js';
import { signalName } from '@swarm/api';
import { causeOf } from './engine-cause.js';
import type { ContainerDetails } from './engine-types.js';

/** How a container that no longer runs ended. */
export function endOf({ State, HostConfig }: ContainerDetails): TaskEnd {
  const code = State.ExitCode;
  const signal = code > 128 ? signalName(code - 128) : undefined;
  const errors = [
    ...(State.OOMKilled
      ? [`the kernel killed it: out of memory, its limit is ${HostConfig.Memory} bytes`]
      : []),
    ...(State.Error === '' ? [] : [causeOf(State.Error)]),
  ];
  return {
    kind: 'exit',
    code,
    ...(signal === undefined ? {} : { signal }),
    ...(errors.length === 0 ? {} : { error: errors.join('; ') }),
  };
}
