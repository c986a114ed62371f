import os from 'node:os';
import { ApiError, isPort, type PortProtocol, parseIpAddress } from '@swarm/api';
import { sendJson } from '@swarm/http';
import type { LocalCall, LocalRoute } from '../local-call.js';

const PROTOCOLS: readonly PortProtocol[] = ['tcp', 'udp', 'sctp'];

/** `GET /x/mesh/trace?from=ADDRESS&to=ADDRESS&port=80&protocol=tcp` */
async function trace({ response, target, services }: LocalCall): Promise<void> {
  const { control } = services;
  if (control.traceMesh === undefined)
    throw new ApiError('NOT_IN_SWARM', 'This node is not part of a swarm, so it has no mesh.');
  const value = (name: string): string => target.query.get(name) ?? '';
  const addresses = Object.values(os.networkInterfaces()).flatMap((device) =>
    (device ?? []).map(({ address }) => address),
  );
  const query = {
    from: address('from', value('from')),
    to: address('to', value('to')),
    port: Number(value('port')),
    protocol: (value('protocol') || 'tcp') as PortProtocol,
  };
  if (!isPort(query.port))
    throw new ApiError(
      'INVALID_ARGUMENT',
      `port: "${value('port')}" is not a port: use 1 to 65535`,
    );
  if (!PROTOCOLS.includes(query.protocol))
    throw new ApiError(
      'INVALID_ARGUMENT',
      `protocol: "${query.protocol}" is not known: use ${PROTOCOLS.join(', ')}`,
    );
  try {
    sendJson(response, await control.traceMesh(query, new Set(addresses)));
  } catch (error) {
    if (error instanceof RangeError) throw new ApiError('INVALID_ARGUMENT', error.message);
    throw error;
  }
}

function address(name: string, text: string): string {
  if (parseIpAddress(text) === undefined)
    throw new ApiError('INVALID_ARGUMENT', `${name}: "${text}" is not an IP address`);
  return text;
}

export const meshRoutes: readonly LocalRoute[] = [
  { method: 'GET', pattern: '/x/mesh/trace', handle: trace },
];
