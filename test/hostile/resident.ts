import { Prng } from '@swarm/sim';
import fc, { type Arbitrary } from 'fast-check';
import { agentMessages } from './agent-messages.js';
import type { Credential } from './credential.js';
import type { Knowledge } from './facts.js';
import { mutated } from './mutation.js';
import { agentFrame, type Sent } from './script.js';
import { values } from './values.js';

const SEED_RANGE = 2 ** 31;
const PAUSES_MS = [5, 20, 60, 150];
/** Far shorter than the time that a node may be silent. */
const HEARTBEAT_EVERY_MS = 700;
const STEPS_MOST = 120;
/** How often to send a wrong message, which usually ends the session. */
const WRONG = { part: 1, of: 40 };

/** A session that lasts: its node is ready, gets tasks, and reports odd things about them. */
export interface Residence {
  readonly credential: Credential;
  readonly hello: Sent;
  /** What to send next, and when; undefined at the end. The last message is wrong. */
  next(): { readonly pauseMs: number; readonly sent: Sent } | undefined;
}

/** Makes the sessions of nodes that stay. Each node has its own sequence. */
export class Residences {
  readonly #seed: number;
  readonly #known: Knowledge;
  readonly #hello: Arbitrary<unknown>;
  readonly #heartbeat: Arbitrary<unknown>;
  readonly #odd: Arbitrary<unknown>;
  readonly #wrong: Arbitrary<unknown>;

  constructor(seed: number, known: Knowledge) {
    this.#seed = seed;
    this.#known = known;
    const { hello, heartbeat, status, description, log, ...others } = agentMessages(known);
    const ack = fc.constant(undefined).map(() => ({
      type: 'mesh-ack',
      generation: known.generations[known.speaker] ?? 0,
    }));
    const applied = fc.constant(undefined).map(() => ({
      type: 'assignments-ack',
      resultsIn: known.assigned[known.speaker] ?? 0,
    }));
    this.#hello = hello;
    this.#heartbeat = heartbeat;
    this.#odd = fc.oneof(
      { weight: 10, arbitrary: status },
      { weight: 2, arbitrary: fc.oneof(ack, applied) },
      { weight: 1, arbitrary: fc.oneof(description, log, others['log-end']) },
    );
    this.#wrong = mutated(
      fc.oneof(
        { weight: 6, arbitrary: status },
        { weight: 1, arbitrary: fc.oneof(description, ack, applied) },
      ),
      values(known),
    );
  }

  /** @param turn number of the node's session, from 1 */
  residence(credential: Credential, place: number, turn: number): Residence {
    const prng = new Prng(this.#seed, `resident ${place}, turn ${turn}`);
    const draw = (arbitrary: Arbitrary<unknown>, valid: boolean): Sent => {
      this.#known.speaker = credential.nodeId ?? '';
      const [message] = fc.sample(arbitrary, { seed: prng.below(SEED_RANGE), numRuns: 1 });
      return agentFrame(message, valid);
    };
    let left = prng.below(STEPS_MOST);
    let quietMs = 0;
    return {
      credential,
      hello: draw(this.#hello, true),
      next: () => {
        if (left < 0) return undefined;
        const pauseMs = prng.pick(PAUSES_MS);
        quietMs += pauseMs;
        left -= 1;
        if (left < 0 || prng.chance(WRONG)) return { pauseMs, sent: draw(this.#wrong, false) };
        if (quietMs < HEARTBEAT_EVERY_MS) return { pauseMs, sent: draw(this.#odd, true) };
        quietMs = 0;
        return { pauseMs, sent: draw(this.#heartbeat, true) };
      },
    };
  }
}
