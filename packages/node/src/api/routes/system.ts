import os from 'node:os';
import { ApiError } from '@swarm/api';
import { API_VERSION_MAX, API_VERSION_MIN, sendJson } from '@swarm/http';
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

function version({ response, services }: LocalCall): void {
  const arch = goArch();
  const kernel = os.release();
  sendJson(response, {
    Platform: { Name: 'Swarm' },
    Components: [
      {
        Name: 'Engine',
        Version: services.version,
        Details: {
          ApiVersion: API_VERSION_MAX,
          Arch: arch,
          BuildTime: '',
          Experimental: 'false',
          GitCommit: '',
          GoVersion: '',
          KernelVersion: kernel,
          MinAPIVersion: API_VERSION_MIN,
          Os: 'linux',
          NodeVersion: process.version,
        },
      },
    ],
    Version: services.version,
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

/** The engine's `/info` where there is an engine, with the `Swarm` part replaced by ours. */
async function info({ response, services }: LocalCall): Promise<void> {
  const { control, engine } = services;
  const own = hostInfo(control.info().nodeId, services.version);
  const ofEngine = (await engine?.ask('/info')) as Record<string, unknown> | undefined;
  sendJson(response, {
    ...own,
    ...ofEngine,
    Swarm: swarmInfo(control.info(), services.managerInfo()),
  });
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
