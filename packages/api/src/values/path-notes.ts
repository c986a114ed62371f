import type { PathProblem } from '../objects/node-paths.js';
import type { Node } from '../objects/node.js';
import { firewallNote } from './firewall-notes.js';
import { isTunnelled } from '../network/mesh-backend.js';

/** Nodes that a sentence names. */
const NAMED_LIMIT = 3;

const OTHERS_FIRST = 'new tasks go to other nodes first';

/** What sentences about paths are made from. */
export interface PathPlace {
  /** UDP port of the tunnel. */
  readonly dataPathPort: number;
  readonly nodeOf: (nodeId: string) => Node | undefined;
}

/** A path between two nodes, as one sentence. */
export interface PathFinding {
  readonly NodeIDs: readonly [string, string];
  readonly Kind: PathProblem['Kind'];
  readonly Text: string;
}

/**
 * What is wrong with the paths of a node, and what to open, as ends of a sentence that begins with its name. Empty
 * when nothing is: also when the node or the other one is down, since that explains it.
 */
export function pathNotes(node: Node, place: PathPlace): readonly string[] {
  const problems = livingProblems(node, place);
  return (['blocked', 'mtu'] as const)
    .flatMap((kind) => {
      const others = problems.filter(({ Kind }) => Kind === kind).map(({ other }) => other);
      return others.length === 0 ? [] : [note(kind, node, others, place)];
    })
    .concat(problems.length > 0 ? causes(node) : []);
}

/** What explains a problem, and what follows from it. */
function causes({ Description }: Node): string[] {
  const { CutOff, Firewalls } = Description?.Paths ?? {};
  const stops = Firewalls?.find(({ Hooks }) => Hooks.includes('input'));
  return [
    ...(stops === undefined
      ? []
      : [`on this host ${firewallNote(stops)}: "swarm doctor" says what to run`]),
    ...(CutOff === true ? [OTHERS_FIRST] : []),
  ];
}

function note(kind: PathProblem['Kind'], node: Node, others: Node[], place: PathPlace): string {
  const names = listed(others.map(nameOf));
  const [only] = others;
  const between = `${addressOf(node)} and ${others.length === 1 ? addressOf(only!) : 'them'}`;
  return kind === 'blocked'
    ? `does not reach ${names} through the tunnel: ${openPort(place, between)}`
    : `reaches ${names} through the tunnel with small packets only: ${setMtu(between)}`;
}

/** All paths between these nodes that have a problem. One that both ends report is in it once. */
export function pathFindings(nodes: readonly Node[], place: PathPlace): readonly PathFinding[] {
  const found = new Map<
    string,
    { readonly from: Node; readonly to: Node; kinds: PathProblem['Kind'][] }
  >();
  for (const node of nodes) {
    for (const { other, Kind } of livingProblems(node, place)) {
      const key = [node.ID, other.ID].sort().join();
      const known = found.get(key);
      if (known === undefined) found.set(key, { from: node, to: other, kinds: [Kind] });
      else known.kinds.push(Kind);
    }
  }
  return [...found.values()].map(({ from, to, kinds }) => {
    const Kind = kinds.includes('blocked') ? 'blocked' : 'mtu';
    const between = `${addressOf(from)} and ${addressOf(to)}`;
    const remedy = Kind === 'blocked' ? openPort(place, between) : setMtu(between);
    return {
      NodeIDs: [from.ID, to.ID],
      Kind,
      Text: `${finding(Kind, from, to, kinds)}: ${remedy}`,
    };
  });
}

function finding(
  kind: PathProblem['Kind'],
  from: Node,
  to: Node,
  kinds: readonly string[],
): string {
  const [a, b] = [nameOf(from), nameOf(to)];
  const isMutual = kinds.length > 1;
  if (kind === 'blocked') {
    return isMutual
      ? `${a} and ${b} do not reach each other through the tunnel`
      : `${a} does not reach ${b} through the tunnel`;
  }
  return isMutual
    ? `${a} and ${b} reach each other through the tunnel with small packets only`
    : `${a} reaches ${b} through the tunnel with small packets only`;
}

/** Those that the node still has: it is up, and so is the other one, with a tunnel. */
function livingProblems(node: Node, { nodeOf }: PathPlace): (PathProblem & { other: Node })[] {
  if (node.Status.State !== 'ready') return [];
  return (node.Description?.Paths?.Problems ?? []).flatMap((problem) => {
    const other = nodeOf(problem.NodeID);
    if (other?.Status.State !== 'ready' || !isTunnelled(other.Description)) return [];
    return [{ ...problem, other }];
  });
}

function openPort({ dataPathPort }: PathPlace, between: string): string {
  return `let ${dataPathPort}/udp pass between ${between}`;
}

function setMtu(between: string): string {
  return `a link between ${between} carries less than their interfaces say; set their MTU to what it carries, then restart both daemons`;
}

function listed(names: readonly string[]): string {
  const more = names.length - NAMED_LIMIT;
  if (more > 0) return `${names.slice(0, NAMED_LIMIT).join(', ')} and ${more} more`;
  if (names.length === 1) return names[0]!;
  return `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`;
}

function nameOf({ ID, Description, Spec }: Node): string {
  return Spec.Name || Description?.Hostname || ID;
}

function addressOf({ Mesh, Status }: Node): string {
  return Mesh?.Address || Status.Addr;
}
