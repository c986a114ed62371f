import {
  CAPABILITIES_LIMIT,
  capabilityShape,
  CONTAINER_ID_LIMIT,
  DESCRIPTION_TEXT_LIMIT_BYTES,
  ENGINE_ITEMS_LIMIT,
  ENGINE_LABEL_LIMIT_BYTES,
  FIREWALLS_LIMIT,
  foreignFirewallShape,
  type Labels,
  type LogLine,
  NODE_IPV6_LIMIT,
  type NodeDescription,
  PATH_PROBLEMS_LIMIT,
  pathProblemShape,
  PORT_CONFLICTS_LIMIT,
  portConfigShape,
  nodeEncryptionShape,
  portConflictShape,
  programShape,
  reportedStatusShape,
  type Resources,
  shape,
  type TaskStatus,
  tlsInfoShape,
} from '@swarm/api';
import { DESCRIPTION_LIMIT_BYTES, LOG_PIECE_LIMIT_BYTES, Msgpack } from '@swarm/api/wire';

// What a host or an engine reports may break the contract of the wire. A manager would refuse such a message
// in every session, so these functions repair it first.

const { tryRead } = shape;
const shortText = shape.cut(DESCRIPTION_TEXT_LIMIT_BYTES);
const labelKey = shape.text(DESCRIPTION_TEXT_LIMIT_BYTES);
const labelText = shape.cut(ENGINE_LABEL_LIMIT_BYTES);
const containerId = shape.text(CONTAINER_ID_LIMIT);

function textOf(value: unknown): string {
  return tryRead(shortText, value) ?? '';
}

/** Drops the fields that are undefined: absent, or beyond repair. */
function given<T extends object>(fields: { readonly [K in keyof T]: T[K] | undefined }): T {
  return Object.fromEntries(
    Object.entries(fields).filter(([, value]) => value !== undefined),
  ) as unknown as T;
}

/** Returns the description as every manager accepts it: cuts texts, shortens lists, omits invalid values. */
export function reportableDescription(description: NodeDescription): NodeDescription {
  const { Platform, Resources, Engine } = description;
  const fields = {
    Hostname: textOf(description.Hostname),
    Platform: { Architecture: textOf(Platform?.Architecture), OS: textOf(Platform?.OS) },
    Resources: resourcesOf(Resources),
  };
  const rest = given<
    Pick<
      NodeDescription,
      | 'TLSInfo'
      | 'Runtime'
      | 'RuntimeCapabilities'
      | 'MeshBackend'
      | 'Program'
      | 'ListenPort'
      | 'Encryption'
      | 'PortConflicts'
      | 'Paths'
      | 'Ipv6Addresses'
    >
  >({
    TLSInfo: tryRead(tlsInfoShape, description.TLSInfo),
    Runtime: tryRead(shortText, description.Runtime),
    RuntimeCapabilities: capabilitiesOf(description.RuntimeCapabilities),
    MeshBackend: tryRead(shortText, description.MeshBackend),
    Program: tryRead(programShape, description.Program),
    ListenPort: tryRead(shape.port, description.ListenPort),
    Encryption: tryRead(nodeEncryptionShape, description.Encryption),
    PortConflicts: conflictsOf(description.PortConflicts),
    Paths: pathsOf(description.Paths),
    Ipv6Addresses: ipv6Of(description.Ipv6Addresses),
  });
  let labels = Engine?.Labels === undefined ? undefined : labelsOf(Engine.Labels);
  let plugins = Engine?.Plugins === undefined ? undefined : pluginsOf(Engine.Plugins);
  const msgpack = new Msgpack();
  for (;;) {
    const engine = given<NodeDescription['Engine']>({
      EngineVersion: textOf(Engine?.EngineVersion),
      Labels: labels,
      Plugins: plugins,
    });
    const found: NodeDescription = { ...fields, Engine: engine, ...rest };
    if (msgpack.pack(found).byteLength <= DESCRIPTION_LIMIT_BYTES) return found;
    // Plugins go first: users place tasks by labels.
    if (plugins !== undefined && plugins.length > 0)
      plugins = plugins.slice(0, plugins.length >> 1);
    else if (labels !== undefined && Object.keys(labels).length > 0) labels = firstHalf(labels);
    else return { ...fields, Engine: { EngineVersion: engine.EngineVersion } };
  }
}

function firstHalf(labels: Labels): Labels {
  const entries = Object.entries(labels);
  return Object.fromEntries(entries.slice(0, entries.length >> 1));
}

function resourcesOf(resources: Resources | undefined): Resources {
  const whole = (value: unknown) =>
    tryRead(shape.signed, typeof value === 'number' ? Math.trunc(value) : value);
  return given<Resources>({
    NanoCPUs: whole(resources?.NanoCPUs),
    MemoryBytes: whole(resources?.MemoryBytes),
  });
}

function labelsOf(labels: unknown): Labels {
  if (!shape.isFields(labels)) return {};
  const entries = Object.entries(labels).flatMap(([key, value]) => {
    const name = key === '__proto__' ? undefined : tryRead(labelKey, key);
    const text = tryRead(labelText, value);
    return name === undefined || text === undefined ? [] : [[name, text] as const];
  });
  return Object.fromEntries(entries.slice(0, ENGINE_ITEMS_LIMIT));
}

function capabilitiesOf(words: unknown): readonly string[] | undefined {
  if (!Array.isArray(words)) return undefined;
  return words
    .slice(0, CAPABILITIES_LIMIT)
    .flatMap((word: unknown) => tryRead(capabilityShape, word) ?? []);
}

/** Undefined without any, as on a node of a version that did not report them. */
function ipv6Of(addresses: NodeDescription['Ipv6Addresses']) {
  if (addresses === undefined || addresses.length === 0) return undefined;
  return addresses
    .slice(0, NODE_IPV6_LIMIT)
    .flatMap((address) => tryRead(shape.ipAddress, address) ?? []);
}

/** Undefined without any, as on a node that never had one. */
function conflictsOf(conflicts: NodeDescription['PortConflicts']) {
  if (conflicts === undefined || conflicts.length === 0) return undefined;
  return conflicts
    .slice(0, PORT_CONFLICTS_LIMIT)
    .flatMap((conflict) => tryRead(portConflictShape, conflict) ?? []);
}

function pathsOf(paths: NodeDescription['Paths']): NodeDescription['Paths'] {
  if (paths === undefined) return undefined;
  const firewalls = (paths.Firewalls ?? [])
    .flatMap((firewall) => tryRead(foreignFirewallShape, firewall) ?? [])
    .slice(0, FIREWALLS_LIMIT);
  const problems = paths.Problems.slice(0, PATH_PROBLEMS_LIMIT);
  return {
    Problems: problems.flatMap((problem) => tryRead(pathProblemShape, problem) ?? []),
    ...(paths.CutOff === true ? { CutOff: true } : {}),
    ...(firewalls.length > 0 ? { Firewalls: firewalls } : {}),
  };
}

function pluginsOf(plugins: unknown): { readonly Type: string; readonly Name: string }[] {
  if (!Array.isArray(plugins)) return [];
  return (plugins as unknown[])
    .filter(shape.isFields)
    .slice(0, ENGINE_ITEMS_LIMIT)
    .map(({ Type, Name }) => ({ Type: textOf(Type), Name: textOf(Name) }));
}

/**
 * Returns the status as every manager accepts it. Undefined for states that only managers set (`orphaned`,
 * `remove`), and when it is beyond repair.
 */
export function reportableStatus(status: TaskStatus, nowMs: number): TaskStatus | undefined {
  const { State } = status;
  if (State === 'orphaned' || State === 'remove') return undefined;
  const read = tryRead(reportedStatusShape, status);
  if (read !== undefined) return read;
  const { ContainerStatus: container, PortStatus: ports } = status;
  const mended = given<TaskStatus>({
    Timestamp: tryRead(shape.timestamp, status.Timestamp) ?? new Date(nowMs).toISOString(),
    State,
    Message: tryRead(shape.text(), status.Message) ?? '',
    Err: tryRead(shape.text(), status.Err),
    ContainerStatus:
      container === undefined
        ? undefined
        : given<NonNullable<TaskStatus['ContainerStatus']>>({
            ContainerID: tryRead(containerId, container.ContainerID),
            PID: tryRead(shape.signed, container.PID),
            ExitCode: tryRead(shape.signed, container.ExitCode),
          }),
    PortStatus:
      ports?.Ports === undefined
        ? undefined
        : { Ports: ports.Ports.flatMap((port) => tryRead(portConfigShape, port) ?? []) },
    Ready: tryRead(shape.flag, status.Ready),
    Ipv6: tryRead(shape.flag, status.Ipv6),
    Address: tryRead(shape.ipAddress, status.Address),
    AppliedAt: undefined,
  });
  return tryRead(reportedStatusShape, mended);
}

/** Estimates the bytes of a status in a message, rather too many than too few. */
export function statusCostBytes({ Message, Err = '', PortStatus }: TaskStatus): number {
  const texts = 3 * (Message.length + Err.length);
  return 1024 + texts + 1024 * (PortStatus?.Ports?.length ?? 0);
}

/** Returns a line as every manager accepts it: splits one that is too long into pieces. */
export function* reportableLines(line: LogLine, nowMs: number): Generator<LogLine> {
  const timestamp = tryRead(shape.timestamp, line.timestamp) ?? new Date(nowMs).toISOString();
  const { data } = line;
  const { position: _, ...rest } = line;
  for (let from = 0; from === 0 || from < data.byteLength; from += LOG_PIECE_LIMIT_BYTES) {
    const to = from + LOG_PIECE_LIMIT_BYTES;
    const isLast = to >= data.byteLength;
    const piece = { timestamp, data: data.subarray(from, to) };
    // The log goes on behind the whole line.
    yield isLast ? { ...line, ...piece } : { ...rest, ...piece, partial: true };
  }
}
