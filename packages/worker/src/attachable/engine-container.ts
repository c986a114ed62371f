import type { ContainerState } from '../runtime/docker/engine-types.js';

/** What is read of a container of the user's. */
export interface EngineContainer {
  readonly Id: string;
  /** With a slash in front. */
  readonly Name: string;
  readonly State: Pick<ContainerState, 'Status' | 'ExitCode' | 'Pid'>;
  readonly HostConfig: {
    readonly NetworkMode: string;
    readonly RestartPolicy?: { readonly Name?: string } | null;
  };
}

/** Whether a container is there for its network: it runs, or will by itself. */
export function needsNetwork({ State }: EngineContainer): boolean {
  return ['running', 'paused', 'restarting', 'removing'].includes(State.Status);
}

/** Whether the engine would have started it again after its own restart, if its network had been there. */
export function startsWithEngine({ State, HostConfig }: EngineContainer): boolean {
  const policy = HostConfig.RestartPolicy?.Name;
  if (policy === 'always' || policy === 'unless-stopped') return true;
  return policy === 'on-failure' && State.ExitCode !== 0;
}
