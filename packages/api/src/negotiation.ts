import { type Program, VERSION_LIMIT, type VersionWindow } from './program.js';

/** On each HTTP request of a node to a manager, upgrades included: the protocols it speaks, as `1-2`. */
export const PROTOCOL_HEADER = 'x-swarm-protocol';

/** Who names no protocol speaks the first one. */
const UNNAMED: VersionWindow = { Oldest: 1, Newest: 1 };
/** What a node is taken for that does not say what it runs. */
export const UNNAMED_PROGRAM: Program = {
  Version: 'of an unknown version',
  Protocol: UNNAMED,
  FeatureLevel: UNNAMED,
};
const WINDOW = /^(\d{1,7})-(\d{1,7})$/;
/** Subprotocols of a dispatcher session's WebSocket (RFC 6455, section 1.9). */
const DISPATCHER_PREFIX = 'swarm.dispatcher.';
const DISPATCHER = /^swarm\.dispatcher\.(\d{1,7})$/;

export function formatWindow({ Oldest, Newest }: VersionWindow): string {
  return `${Oldest}-${Newest}`;
}

/** What `PROTOCOL_HEADER` says; undefined when it is malformed. */
export function parseWindow(header: unknown): VersionWindow | undefined {
  if (header === undefined) return UNNAMED;
  const [, oldest, newest] = (typeof header === 'string' ? WINDOW.exec(header) : null) ?? [];
  const window = { Oldest: Number(oldest), Newest: Number(newest) };
  return isVersionWindow(window) ? window : undefined;
}

export function isVersionWindow(value: unknown): value is VersionWindow {
  if (typeof value !== 'object' || value === null) return false;
  const { Oldest, Newest } = value as Partial<VersionWindow>;
  return isVersion(Oldest) && isVersion(Newest) && Oldest <= Newest;
}

function isVersion(value: unknown): value is number {
  return (
    Number.isSafeInteger(value) && (value as number) >= 1 && (value as number) <= VERSION_LIMIT
  );
}

/** The highest version that both have; undefined when they have none in common. */
export function highestCommon(one: VersionWindow, other: VersionWindow): number | undefined {
  const version = Math.min(one.Newest, other.Newest);
  return version >= Math.max(one.Oldest, other.Oldest) ? version : undefined;
}

/**
 * What a node offers when it opens a session with the dispatcher, the oldest first: managers of before
 * subprotocols accept the first one unread. Others choose the highest that they have.
 */
export function dispatcherProtocols({ Oldest, Newest }: VersionWindow): string[] {
  const offered: string[] = [];
  for (let protocol = Oldest; protocol <= Newest; protocol += 1) {
    offered.push(`${DISPATCHER_PREFIX}${protocol}`);
  }
  return offered;
}

/** The protocol of a session, from its socket's subprotocol; undefined when that is something else. */
export function dispatcherProtocol(subprotocol: string): number | undefined {
  if (subprotocol === '') return UNNAMED.Newest;
  const [, protocol] = DISPATCHER.exec(subprotocol) ?? [];
  return protocol === undefined ? undefined : Number(protocol);
}

/** What a node offered; undefined when it offered subprotocols and none of them is the dispatcher's. */
export function offeredProtocols(subprotocols: Iterable<string>): VersionWindow | undefined {
  let isEmpty = true;
  let window: VersionWindow | undefined;
  for (const subprotocol of subprotocols) {
    isEmpty = false;
    const protocol = dispatcherProtocol(subprotocol);
    if (protocol === undefined || protocol === 0) continue;
    window = {
      Oldest: Math.min(protocol, window?.Oldest ?? protocol),
      Newest: Math.max(protocol, window?.Newest ?? protocol),
    };
  }
  return isEmpty ? UNNAMED : window;
}

/** Why two programs cannot talk, and which of them to upgrade. */
export function protocolProblem(
  peer: { readonly name: string; readonly protocols: VersionWindow },
  own: { readonly name: string; readonly protocols: VersionWindow },
): string {
  const older = peer.protocols.Newest < own.protocols.Oldest ? peer : own;
  return (
    `${peer.name} speaks ${shownProtocols(peer.protocols)}, ${own.name} ` +
    `${shownProtocols(own.protocols)}: upgrade ${older.name} first`
  );
}

/**
 * Why a program cannot be a manager of a cluster, and what to do; undefined when it can.
 * @param name what runs it: `this node`
 */
export function featureLevelProblem(
  name: string,
  { Version, FeatureLevel }: Program,
  level: number,
): string | undefined {
  const at = `the cluster is at feature level ${level}`;
  const runs = `${name} runs swarm ${Version}`;
  if (FeatureLevel.Newest < level) {
    return `${at}, and ${runs}, which understands levels up to ${FeatureLevel.Newest}: upgrade ${name} first`;
  }
  if (FeatureLevel.Oldest > level) {
    return (
      `${at}, and ${runs}, which needs level ${FeatureLevel.Oldest} or above: ` +
      'upgrade all managers to a version in between first'
    );
  }
  return undefined;
}

function shownProtocols({ Oldest, Newest }: VersionWindow): string {
  return Oldest === Newest ? `protocol ${Newest}` : `protocols ${Oldest} to ${Newest}`;
}
