import { Prng } from '@swarm/sim';
import fc, { type Arbitrary } from 'fast-check';
import { type AgentMessages, agentMessages } from './agent-messages.js';
import { type Credential, IDENTITIES, type IdentityName, isOfCluster } from './credential.js';
import type { Knowledge } from './facts.js';
import { clientFrame, Opcode } from './frames.js';
import { packMessage } from './msgpack-writer.js';
import { mutated } from './mutation.js';
import { brokenFrames, brokenHttp, brokenTls, type HostileBytes } from './raw-bytes.js';
import { type HostileRequest, requests, upgradeRequest } from './requests.js';
import { API_SURFACE, NODE_SURFACE } from './surface.js';
import { values } from './values.js';

/** What a connection is for. */
export type Lane =
  /** Requests, many on one connection. */
  | 'requests'
  /** A session of an agent: a hello, then a burst of messages, the last of them wrong. */
  | 'session'
  /** A session whose first messages are wrong. */
  | 'no hello'
  /** A session whose frames break WebSocket's rules. */
  | 'frames'
  /** A member of the Raft group. */
  | 'raft'
  /** Bytes over TLS that are not HTTP. */
  | 'http'
  /** Bytes over TCP that are not TLS. */
  | 'tls'
  /** A session that lasts, see resident.ts. */
  | 'resident';

/** One message, and its name in the counts. */
export interface Sent {
  readonly label: string;
  /** For requests. */
  readonly method?: string;
  /** Whether the message is well-formed, so that the connection should go on. */
  readonly valid: boolean;
  readonly bytes: Buffer;
}

/**
 * What happens on one connection. The same seed and number give the same script, except for the cluster's
 * ids.
 */
export interface Script {
  readonly number: number;
  readonly lane: Lane;
  readonly credential: Credential;
  /** Index of the manager to attack; more often the first, which led at the start. */
  readonly manager: number;
  /** Resumes an earlier TLS session of the same identity. */
  readonly resumes: boolean;
  /** Does not wait for the answer to the upgrade. */
  readonly hurries: boolean;
  readonly upgrade?: Buffer;
  readonly messages: readonly Sent[];
  readonly end: 'close' | 'cut' | 'reset';
}

const LANES: readonly (readonly [Lane, number])[] = [
  ['requests', 40],
  ['session', 8],
  ['no hello', 22],
  ['frames', 8],
  ['raft', 7],
  ['http', 9],
  ['tls', 6],
];
const LANES_TOTAL = LANES.reduce((sum, [, weight]) => sum + weight, 0);
const REQUESTS_MOST = 40;
const SESSION_MOST = 800;
const SEED_RANGE = 2 ** 31;

/** Makes the scripts of a run. */
export class Scripts {
  readonly #seed: number;
  readonly #credentials: readonly Credential[];
  readonly #managers: number;
  readonly #requests: Arbitrary<HostileRequest>;
  readonly #messages: AgentMessages;
  readonly #oddMessages: Arbitrary<unknown>;
  readonly #wrongMessages: Arbitrary<unknown>;
  readonly #wrongHello: Arbitrary<unknown>;
  readonly #raftFrames: Arbitrary<unknown>;
  readonly #frames = brokenFrames();
  readonly #http = brokenHttp();
  readonly #tls = brokenTls();
  readonly #known: Knowledge;
  readonly #only: IdentityName | undefined;

  /** @param only the only identity to use */
  constructor(
    seed: number,
    known: Knowledge,
    credentials: readonly Credential[],
    only?: IdentityName,
  ) {
    this.#seed = seed;
    this.#known = known;
    this.#credentials = credentials;
    this.#managers = known.managers.length;
    this.#only = only;
    this.#requests = requests(known, [...NODE_SURFACE, ...API_SURFACE]);
    this.#messages = agentMessages(known);
    const { hello, heartbeat, status, log, description, ...others } = this.#messages;
    this.#oddMessages = fc.oneof(
      { weight: 2, arbitrary: heartbeat },
      { weight: 8, arbitrary: status },
      { weight: 4, arbitrary: log },
      { weight: 2, arbitrary: description },
      { weight: 3, arbitrary: fc.oneof(...Object.values(others)) },
    );
    const wrong = values(known);
    const every = fc.oneof(
      { weight: 2, arbitrary: fc.oneof(...Object.values(this.#messages)) },
      { weight: 1, arbitrary: status },
    );
    this.#wrongMessages = fc.oneof(
      { weight: 9, arbitrary: mutated(every, wrong) },
      { weight: 1, arbitrary: wrong },
    );
    this.#wrongHello = mutated(hello, wrong);
    const member = fc.constantFrom(...known.managers.map(({ raftId }) => raftId));
    const raftHello = fc.tuple(
      fc.constant(1),
      fc.constantFrom(known.clusterId, 'another'),
      member,
      member,
    );
    this.#raftFrames = fc.oneof(raftHello, mutated(raftHello, wrong), wrong);
  }

  script(number: number): Script {
    const prng = new Prng(this.#seed, `connection ${number}`);
    const lane = drawLane(prng);
    const name = this.#identity(prng, lane);
    const own = this.#credentials.filter(
      (credential) => credential.name === name && credential.isResident !== true,
    );
    const credential = prng.pick(own);
    this.#known.speaker = credential.nodeId ?? '';
    const base = {
      number,
      lane,
      credential,
      manager: prng.chance({ part: 1, of: 2 }) ? 0 : prng.below(this.#managers),
      resumes: prng.chance({ part: 2, of: 3 }),
      hurries: prng.chance({ part: 1, of: 4 }),
      end: prng.pick(['close', 'cut', 'reset'] as const),
    };
    return { ...base, ...this.#content(lane, prng) };
  }

  #identity(prng: Prng, lane: Lane): IdentityName {
    if (this.#only !== undefined) return this.#only;
    // Only nodes of the cluster get a session.
    const inside = lane === 'session' || lane === 'no hello' || lane === 'frames';
    const members = IDENTITIES.filter(isOfCluster);
    return prng.pick(inside && prng.chance({ part: 4, of: 5 }) ? members : IDENTITIES);
  }

  #content(lane: Lane, prng: Prng): Pick<Script, 'upgrade' | 'messages'> {
    const draw = <T>(arbitrary: Arbitrary<T>, count: number): T[] =>
      fc.sample(arbitrary, { seed: prng.below(SEED_RANGE), numRuns: count });
    switch (lane) {
      case 'requests': {
        const count = 1 + prng.below(prng.pick([2, 10, REQUESTS_MOST]));
        const all = draw(this.#requests, count);
        // A request that takes over the connection is sent alone: answers to earlier ones would follow it.
        const last = all.findIndex(({ isLast }) => isLast);
        const sent = last === -1 ? all : all.slice(0, Math.max(1, last));
        return { messages: sent.map((each) => ({ ...each, valid: true })) };
      }
      case 'session': {
        const [hello] = draw(this.#messages.hello, 1);
        const odd = draw(this.#oddMessages, prng.below(prng.pick([3, 60, SESSION_MOST])));
        const wrong = draw(this.#wrongMessages, 1 + prng.below(3));
        return {
          upgrade: upgradeRequest('/dispatcher'),
          messages: [
            ...[hello, ...odd].map((each) => agentFrame(each, true)),
            ...wrong.map((each) => agentFrame(each, false)),
          ],
        };
      }
      case 'no hello': {
        const first = prng.chance({ part: 1, of: 3 }) ? this.#wrongHello : this.#wrongMessages;
        const all = [...draw(first, 1), ...draw(this.#wrongMessages, prng.below(4))];
        return {
          upgrade: upgradeRequest('/dispatcher'),
          messages: all.map((each) => agentFrame(each, false)),
        };
      }
      case 'frames': {
        const hello = prng.chance({ part: 1, of: 8 })
          ? draw(this.#messages.hello, 1).map((each) => agentFrame(each, true))
          : [];
        const broken = draw(this.#frames, 1 + prng.below(3)).map((each) =>
          wrongBytes('frame', each),
        );
        return { upgrade: upgradeRequest('/dispatcher'), messages: [...hello, ...broken] };
      }
      case 'raft': {
        const path = prng.pick(['/raft', '/raft/snapshot']);
        const frames = draw(this.#raftFrames, 1 + prng.below(4));
        const messages = frames.map((each) => ({
          label: 'raft frame',
          valid: false,
          bytes: clientFrame({ opcode: Opcode.binary, payload: packMessage(each) }),
        }));
        return { upgrade: upgradeRequest(path), messages };
      }
      case 'http':
        return {
          messages: draw(this.#http, 1 + prng.below(3)).map((each) => wrongBytes('http', each)),
        };
      case 'tls':
        return { messages: draw(this.#tls, 1).map((each) => wrongBytes('tls', each)) };
      case 'resident':
        throw new Error('Residences makes sessions that last');
    }
  }
}

function drawLane(prng: Prng): Lane {
  let left = prng.below(LANES_TOTAL);
  for (const [lane, weight] of LANES) {
    left -= weight;
    if (left < 0) return lane;
  }
  return 'requests';
}

/** Makes a frame of an agent's message. @param valid whether the session should go on after it */
export function agentFrame(message: unknown, valid: boolean): Sent {
  const type = (message as { type?: unknown } | null)?.type;
  const label = `${valid ? '' : 'wrong '}${typeof type === 'string' && type.length < 20 ? type : 'message'}`;
  return {
    label,
    valid,
    bytes: clientFrame({ opcode: Opcode.binary, payload: packMessage(message) }),
  };
}

function wrongBytes(kind: string, { label, bytes }: HostileBytes): Sent {
  return { label: `${kind}: ${label}`, valid: false, bytes };
}
