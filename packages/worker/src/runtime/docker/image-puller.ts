import { type Clock, type Logger, parseImageReference } from '@swarm/api';
import { messageOf, RuntimeError } from '../runtime-error.js';
import type { EngineClient } from './engine-client.js';
import { hasStatus } from './engine-error.js';
import type { ProgressLine } from './engine-types.js';
import { jsonLines } from './json-lines.js';
import { PULL_MEMORY, PULL_PATIENCE_MS, PULL_PROGRESS_MS, PULL_REST_MS } from './limits.js';

export interface ImagePullerOptions {
  readonly engine: EngineClient;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Use a local image without asking its registry. */
  readonly preferLocal: boolean;
}

export interface PullContext {
  readonly signal: AbortSignal;
  waiting(message: string): void;
}

/** Answers of a registry that make a retry pointless. */
const FINAL =
  /not found|manifest unknown|no matching manifest|denied|unauthorized|authentication|no basic auth|invalid reference|does not exist/i;
const MEGABYTE = 1_000_000;

/** One pull, shared by all tasks that wait for it. */
interface Pull {
  readonly done: Promise<void>;
  readonly controller: AbortController;
  users: number;
  /** When the engine last reported something new. */
  heardMs: number;
  /** Bytes of each layer. */
  readonly layers: Map<string, { current: number; total: number }>;
}

/**
 * Makes sure that a task's image is on the node. Like Docker Swarm, always asks the registry, to follow a
 * tag that moved, except for an image that is pinned by digest and local. Falls back to a local image when
 * the registry refuses or cannot be reached. Docker waits until its connection fails, which can take
 * minutes; this gives up on a registry that is silent for {@link PULL_PATIENCE_MS} if there is an image to
 * fall back to, and does not ask again for {@link PULL_REST_MS}.
 */
export class ImagePuller {
  readonly #options: ImagePullerOptions;
  readonly #pulls = new Map<string, Pull>();
  /** Pulls that failed recently: until when to rest, and why. */
  readonly #resting = new Map<string, { untilMs: number; why: string }>();

  constructor(options: ImagePullerOptions) {
    this.#options = options;
  }

  /**
   * @param auth `X-Registry-Auth`, as it came with the service
   * @returns whether it was pulled; if not, a message about the local copy stays true
   * @throws RuntimeError `rejected` when the image does not exist, `failed` when its registry cannot be
   *   reached, `aborted`
   */
  async ensure(image: string, auth: string | undefined, context: PullContext): Promise<boolean> {
    const { clock, logger, preferLocal } = this.#options;
    const here = await this.#isHere(image, context.signal);
    const pinned = parseImageReference(image)?.digest !== undefined;
    if (here && (pinned || preferLocal)) return false;
    const key = `${image}\0${auth ?? ''}`;
    const resting = this.#resting.get(key);
    if (here && resting !== undefined && clock.monotonicMs() < resting.untilMs) {
      context.waiting(localSentence(image, resting.why));
      return false;
    }
    try {
      await this.#await(key, image, auth, here, context);
      this.#resting.delete(key);
      return true;
    } catch (error) {
      if (error instanceof RuntimeError && error.reason === 'aborted') throw error;
      const why = messageOf(error);
      if (here) {
        if (this.#rest(key, why)) {
          logger.warn({ image, error: why }, 'could not pull an image, using the local copy');
        }
        context.waiting(localSentence(image, why));
        return false;
      }
      const final = hasStatus(error, 400, 404) || FINAL.test(why);
      throw new RuntimeError(
        final ? 'rejected' : 'failed',
        final
          ? `The image "${image}" is not on this node and cannot be pulled: ${why}. Check its name and tag; for a private registry, use --with-registry-auth.`
          : `The image "${image}" is not on this node and its registry cannot be reached: ${why}. Check this node's network, or load the image here.`,
        { cause: error },
      );
    }
  }

  async #isHere(image: string, signal: AbortSignal): Promise<boolean> {
    try {
      await this.#options.engine.json('GET', `/images/${image}/json`, { signal });
      return true;
    } catch (error) {
      if (hasStatus(error, 400, 404)) return false;
      throw error;
    }
  }

  async #await(
    key: string,
    image: string,
    auth: string | undefined,
    here: boolean,
    { signal, waiting }: PullContext,
  ): Promise<void> {
    const { clock } = this.#options;
    let pull = this.#pulls.get(key);
    if (pull === undefined) {
      pull = this.#pull(image, auth);
      this.#pulls.set(key, pull);
    }
    const current = pull;
    current.users += 1;
    waiting(`pulling ${image}`);
    let stop: () => void = () => {};
    const giveUp = new Promise<never>((_, reject) => {
      const onAbort = (): void =>
        reject(new RuntimeError('aborted', 'The task is no longer wanted.'));
      if (signal.aborted) onAbort();
      signal.addEventListener('abort', onAbort);
      const tick = (): void => {
        const silentMs = clock.monotonicMs() - current.heardMs;
        if (here && silentMs >= PULL_PATIENCE_MS) {
          reject(new Error(`its registry said nothing for ${PULL_PATIENCE_MS / 1000} s`));
          return;
        }
        waiting(`pulling ${image}${progressOf(current)}`);
        timer = clock.setTimeout(tick, PULL_PROGRESS_MS);
      };
      let timer = clock.setTimeout(tick, PULL_PROGRESS_MS);
      stop = () => {
        clock.clearTimeout(timer);
        signal.removeEventListener('abort', onAbort);
      };
    });
    try {
      await Promise.race([current.done, giveUp]);
    } finally {
      stop();
      giveUp.catch(() => {}); // Nobody waits for it any more.
      current.users -= 1;
      if (current.users === 0) {
        if (this.#pulls.get(key) === current) this.#pulls.delete(key);
        current.controller.abort();
      }
    }
  }

  #pull(image: string, auth: string | undefined): Pull {
    const controller = new AbortController();
    const layers: Pull['layers'] = new Map();
    const pull: Pull = {
      controller,
      layers,
      users: 0,
      heardMs: this.#options.clock.monotonicMs(),
      done: Promise.resolve().then(() => this.#run(image, auth, controller.signal, pull)),
    };
    pull.done.catch(() => {}); // Every task may have left it.
    return pull;
  }

  async #run(
    image: string,
    auth: string | undefined,
    signal: AbortSignal,
    pull: Pull,
  ): Promise<void> {
    const { engine, clock } = this.#options;
    const { name, tag, digest } = parseImageReference(image) ?? { name: image };
    const body = await engine.stream('POST', '/images/create', {
      query: { fromImage: name, tag: digest ?? tag ?? 'latest' },
      ...(auth === undefined || auth === ''
        ? {}
        : { headers: { 'x-registry-auth': urlSafe(auth) } }),
      signal,
    });
    for await (const line of jsonLines<ProgressLine>(body)) {
      if (line.error !== undefined) throw new Error(line.errorDetail?.message ?? line.error);
      pull.heardMs = clock.monotonicMs();
      const { current, total } = line.progressDetail ?? {};
      if (line.id === undefined || !current || !total || line.status === 'Extracting') continue;
      pull.layers.set(line.id, { current, total });
    }
  }

  /** Returns whether this is new: of several tasks that waited for one pull, only the first reports it. */
  #rest(key: string, why: string): boolean {
    const nowMs = this.#options.clock.monotonicMs();
    const known = this.#resting.get(key);
    if (known !== undefined && nowMs < known.untilMs) return false;
    this.#resting.delete(key);
    this.#resting.set(key, { untilMs: nowMs + PULL_REST_MS, why });
    const [oldest] = this.#resting.keys();
    if (this.#resting.size > PULL_MEMORY && oldest !== undefined) this.#resting.delete(oldest);
    return true;
  }
}

/** The engine only accepts the URL-safe alphabet with padding (RFC 4648, 5), and ignores anything else. */
function urlSafe(base64: string): string {
  const text = Buffer.from(base64, 'base64').toString('base64');
  return text.replaceAll('+', '-').replaceAll('/', '_');
}

function localSentence(image: string, why: string): string {
  return `${image} could not be pulled, using the copy on this node: ${why}`;
}

function progressOf(pull: Pull): string {
  let current = 0;
  let total = 0;
  for (const layer of pull.layers.values()) {
    current += layer.current;
    total += layer.total;
  }
  if (total === 0) return '';
  return `: ${Math.round(current / MEGABYTE)} of ${Math.round(total / MEGABYTE)} MB`;
}
