import {
  type IpAddress,
  isIpv6,
  type MeshTrace,
  type MeshTraceOutcome,
  type MeshTraceQuery,
  parseIpAddress,
} from '@swarm/api';
import type { CheckedEndpoint } from '../checked.js';
import { TASK_LINK_PREFIX, TUNNEL_DEVICE } from '../layout.js';
import type { TableDescription } from '../table/transaction.js';
import type { Balancing, Packet } from './packet.js';
import { NftRuleset } from './ruleset.js';
import { OUTSIDE, PlacedHost, type TracePlace } from './trace-place.js';
import { reasonOf } from './trace-reason.js';
import { PacketTracer, type TraceOutcome } from './tracer.js';

/** A port that no rule asks for: the client's. */
const CLIENT_PORT = 40_000;

/**
 * Where this node leads a new connection.
 * @param balancing what IPVS does with packets that the table marks
 * @throws RangeError for a query that it cannot answer; the message says what to do
 */
export function traceMesh(
  query: MeshTraceQuery,
  place: TracePlace,
  description: TableDescription | undefined,
  balancing?: Balancing,
): Pick<MeshTrace, 'TableAsWritten' | 'Outcomes'> {
  const from = addressOf(query.from);
  const to = addressOf(query.to);
  if (isIpv6(from) !== isIpv6(to)) {
    throw new RangeError(`${from} and ${to} are not of one IP version: ask with two of the same`);
  }
  const host = new PlacedHost(place);
  const origin = host.nodeOf(from);
  if (origin !== undefined && origin !== place.self.nodeId) {
    throw new RangeError(
      `${from} is a task's on node ${origin}: ask there what its packets meet first`,
    );
  }
  if (description === undefined)
    return { Outcomes: userspaceOutcomes(query, from, to, host, place) };
  const ruleset = new NftRuleset();
  ruleset.apply(description.text);
  const inInterface = host.linkOf(from) ?? (host.isLocal(from) ? undefined : OUTSIDE);
  const packet: Packet = {
    ...(inInterface === undefined ? {} : { inInterface }),
    ...{ source: from, destination: to, protocol: query.protocol },
    ...{ sourcePort: CLIENT_PORT, destinationPort: query.port },
    tcpFlags: query.protocol === 'tcp' ? ['syn'] : [],
    mark: 0,
    flow: { state: 'new', direction: 'original', status: [], mark: 0 },
  };
  const outcomes = new PacketTracer(ruleset, host, balancing).trace(packet);
  return {
    TableAsWritten: description.isAsWritten,
    Outcomes: outcomes.map((outcome) => shown(outcome, host)),
  };
}

function shown(outcome: TraceOutcome, host: PlacedHost): MeshTraceOutcome {
  const { probability, fate, packet, steps } = outcome;
  const { destination, destinationPort } = packet;
  const task = host.taskAt(destination, destinationPort);
  const common = {
    Probability: probability,
    Address: destination,
    Port: destinationPort,
    Source: packet.source,
    ...(task === undefined ? {} : { TaskID: task.taskId, NodeID: task.nodeId }),
    Rules: steps.map(({ chain, text }) => `${chain}: ${text}`),
  };
  switch (fate.kind) {
    case 'local':
      return { ...common, Fate: 'host' };
    case 'sent': {
      const isTask = fate.device === TUNNEL_DEVICE || fate.device.startsWith(TASK_LINK_PREFIX);
      return { ...common, Fate: isTask ? 'task' : 'outside' };
    }
    case 'dropped':
      return { ...common, Fate: 'dropped', Reason: reasonOf(steps) };
    case 'rejected':
      return { ...common, Fate: 'rejected', Reason: `${reasonOf(steps)} (${fate.answer})` };
    case 'unreachable':
      return { ...common, Fate: 'unreachable', Reason: reasonOf([]) };
  }
}

/** Without rules, a proxy of this process takes connections to the host. */
function userspaceOutcomes(
  { port, protocol }: MeshTraceQuery,
  from: IpAddress,
  to: IpAddress,
  host: PlacedHost,
  { ports, self }: TracePlace,
): readonly MeshTraceOutcome[] {
  const asked = { Probability: 1, Address: to, Port: port, Source: from, Rules: [] };
  if (!host.isLocal(to)) return [{ ...asked, Fate: 'outside' }];
  const published = ports.find((each) => each.protocol === protocol && each.publishedPort === port);
  if (published === undefined) return [{ ...asked, Fate: 'host' }];
  const { endpoints } = published;
  if (endpoints.length === 0) {
    return [{ ...asked, Fate: 'rejected', Reason: 'the published port has no task that is ready' }];
  }
  return endpoints.map((endpoint: CheckedEndpoint) => ({
    ...({ Probability: 1 / endpoints.length, Fate: 'task', Rules: [] } as const),
    ...{ Address: endpoint.address, Port: endpoint.port, Source: self.address },
    ...{ TaskID: endpoint.taskId, NodeID: endpoint.nodeId },
  }));
}

function addressOf(text: string): IpAddress {
  const address = parseIpAddress(text);
  if (address === undefined) throw new RangeError(`"${text}" is not an IP address`);
  return address;
}
