import os from 'node:os';
import { ApiError } from '@swarm/api';
import { API_VERSION_MAX, API_VERSION_MIN, type OwnContainers, sendJson } from '@swarm/http';
import { goArch, hostInfo, swarmInfo } from '../host-info.js';
import type { LocalCall, LocalRoute } from '../local-call.js';

function ping({ request, response }: LocalCall): void {
  const body = 'OK';
  response.writeHead(200, {
    'Content-Type': 'text/plain; charset=utf-8',
    'Content-Length': request.method === 'HEAD' ? 0 : body.length,
  });
  response.end(request.method === 'HEAD' ? undefined : body);
}

/** What an engine says about one of its programs. */
interface Component {
  readonly Name: string;
  readonly Version: string;
  readonly Details?: object;
}

/** What we read of an engine's `/version`. */
interface EngineVersion {
  readonly Version: string;
  readonly Components?: readonly Component[];
}

/**
 * Versions. With an engine, `Version` is the engine's, as in `/info`: scripts compare it with what Docker can
 * do. Ours is the component `Swarm` then.
 */
async function version({ response, services }: LocalCall): Promise<void> {
  const arch = goArch();
  const kernel = os.release();
  const ofEngine = (await services.engine?.ask('/version')) as EngineVersion | undefined;
  const ours = {
    ApiVersion: API_VERSION_MAX,
    MinAPIVersion: API_VERSION_MIN,
    NodeVersion: process.version,
  };
  /** What Docker's clients print of an engine. */
  const theirs = {
    Arch: arch,
    BuildTime: '',
    Experimental: 'false',
    GitCommit: '',
    GoVersion: '',
    KernelVersion: kernel,
    Os: 'linux',
  };
  sendJson(response, {
    Platform: { Name: 'Swarm' },
    Components:
      ofEngine === undefined
        ? [{ Name: 'Engine', Version: services.version, Details: { ...theirs, ...ours } }]
        : [
            ...(ofEngine.Components ?? []),
            { Name: 'Swarm', Version: services.version, Details: ours },
          ],
    Version: ofEngine?.Version ?? services.version,
    ApiVersion: API_VERSION_MAX,
    MinAPIVersion: API_VERSION_MIN,
    GitCommit: '',
    GoVersion: '',
    Os: 'linux',
    Arch: arch,
    KernelVersion: kernel,
    BuildTime: '',
  });
}

/**
 * The engine's `/info` where there is an engine, with the `Swarm` part replaced by ours. Containers that only
 * hold a network are not counted, as they are not listed; `Swarm.Sandboxes` counts them.
 */
async function info({ response, services }: LocalCall): Promise<void> {
  const { control, engine } = services;
  const own = hostInfo(control.info().nodeId, services.version);
  const ofEngine = (await engine?.ask('/info')) as EngineInfo | undefined;
  const sandboxes = ofEngine === undefined ? undefined : await engine?.own();
  sendJson(response, {
    ...own,
    ...ofEngine,
    ...(sandboxes === undefined ? {} : listed(ofEngine, sandboxes)),
    Swarm: {
      ...swarmInfo(control.info(), services.managerInfo()),
      Version: services.version,
      ...(sandboxes !== undefined && {
        Sandboxes: { InUse: sandboxes.sandboxes, Spare: sandboxes.spares },
      }),
    },
  });
}

/** What we change in an engine's `/info`. */
interface EngineInfo {
  readonly Containers?: number;
  readonly ContainersRunning?: number;
  readonly ContainersStopped?: number;
}

/** The numbers of containers that a client sees in the list. */
function listed(
  { Containers = 0, ContainersRunning = 0, ContainersStopped = 0 }: EngineInfo = {},
  { sandboxes, spares, running }: OwnContainers & { readonly running: number },
): Required<EngineInfo> {
  const all = sandboxes + spares;
  return {
    Containers: Math.max(0, Containers - all),
    ContainersRunning: Math.max(0, ContainersRunning - running),
    ContainersStopped: Math.max(0, ContainersStopped - (all - running)),
  };
}

/** Only an engine can ask a registry. Stock clients go on without the digest and print a warning. */
async function distribution(call: LocalCall): Promise<void> {
  const { engine } = call.services;
  if (engine !== undefined && call.caller.principal.kind === 'local') {
    return engine.pass(call.request, call.response, call.target);
  }
  throw new ApiError(
    'NOT_FOUND',
    `this node has no Docker Engine to look up ${call.params.image} in a registry; the image is used ` +
      'as named',
  );
}

export const systemRoutes: readonly LocalRoute[] = [
  { method: 'GET', pattern: '/_ping', handle: ping },
  { method: 'HEAD', pattern: '/_ping', handle: ping },
  { method: 'GET', pattern: '/version', handle: version },
  { method: 'GET', pattern: '/info', handle: info },
  { method: 'GET', pattern: '/distribution/{image...}/json', handle: distribution },
];
